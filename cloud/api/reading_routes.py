"""Devices and readings, as JSON and live."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response, WebSocket

from cloud import store
from cloud.accounts.roles import Access, Permission
from cloud.api.access import login_of, needs
from cloud.api.data_views import DeviceList, ReadingList
from cloud.api.fields import NameQuery
from cloud.api.live import serve_watcher
from cloud.api.openapi import Answers, answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts, services_of
from cloud.api.sockets import NOT_LOGGED_IN, close

MAX_LIMIT = 1000
ReadingId = Annotated[str | None, Query(pattern="^[0-9A-HJKMNP-TV-Z]{26}$")]

router = APIRouter(tags=["readings"])
COUNTERS: Answers = {
    200: {
        "description": "Name -> count.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "additionalProperties": {"type": "integer"}},
                "example": {"ingest.received": 1204, "ingest.stored": 1200},
            }
        },
    }
}


@router.get("/api/devices", responses=answers(DeviceList))
def devices(services: Parts, access: Annotated[Access, needs(Permission.READ_DEVICES)]) -> Response:
    """All devices of your sites with their last state."""
    return json_reply({"devices": store.devices(services.engine, sites=access.sites(Permission.READ_DEVICES))})


@router.get("/api/readings", responses=answers(ReadingList))
def readings(
    services: Parts,
    access: Annotated[Access, needs(Permission.READ_READINGS)],
    site: NameQuery = None,
    device: NameQuery = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
    before: ReadingId = None,
) -> Response:
    """The readings of your sites, newest first, each with the cloud's verdict on it."""
    sites = access.sites(Permission.READ_READINGS)
    found = store.readings(services.engine, sites=sites, site=site, device=device, limit=limit, before=before)
    return json_reply({"readings": found})


@router.get("/api/counters", responses=COUNTERS)
def count(services: Parts, _access: Annotated[Access, needs(Permission.MANAGE_SITE)]) -> Response:
    """What the service has counted since it started."""
    return json_reply(services.counters.snapshot())


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Everything that is stored from now on, of the sites that the watcher may see."""
    services = services_of(socket)
    login = await asyncio.to_thread(login_of, socket)
    if login is None or login.must_change:
        await close(socket, NOT_LOGGED_IN)
        return
    await serve_watcher(socket, services.live, login)
