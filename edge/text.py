"""Names of files as text that can be printed on one line and sent in a message."""

from __future__ import annotations

import os


def printable(name: str) -> str:
    """Return `name` with what is no UTF-8 or would break the line replaced; other names stay as they are."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
