"""Is it alive, is it ready: for load balancers and process managers, without logging in."""

from __future__ import annotations

from fastapi import APIRouter, Response

from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts
from cloud.api.views import Alive, Readiness

router = APIRouter(tags=["health"])
NOT_READY = answers(Readiness, status=503)


@router.get("/healthz", responses=answers(Alive))
async def alive() -> Response:
    """Answers as long as the process does."""
    return json_reply({"status": "ok"})


@router.get("/readyz", responses=answers(Readiness) | NOT_READY)
async def ready(services: Parts) -> Response:
    """200 if every part works, else 503 and which does not."""
    results = services.checks()
    good = all(results.values())
    return json_reply({"status": "ready" if good else "not ready", "checks": results}, 200 if good else 503)
