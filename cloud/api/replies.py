"""Replies, all made in one way."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import Response

NO_STORE = {"Cache-Control": "no-store"}


def json_reply(value: Any, status: int = 200) -> Response:
    """Return a value as JSON that no cache keeps."""
    return Response(msgspec.json.encode(value), status, NO_STORE, media_type="application/json")
