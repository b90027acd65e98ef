"""History: what devices perceived, how they did, and how the two ran, over time."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query, Response

from cloud.accounts.roles import Access, Permission
from cloud.api.access import needs
from cloud.api.data_views import HealthHistory, HistoryView
from cloud.api.fields import NameQuery, UnixSeconds
from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts
from cloud.store.history import Period, Resolution, health_history, history

router = APIRouter(tags=["history"])
DAY_S = 86_400.0

When = Annotated[UnixSeconds | None, Query(description="Unix seconds", examples=[1_770_000_000])]
From = Annotated[
    UnixSeconds | None,
    Query(alias="from", description="Unix seconds; a day before `until` if left out", examples=[1_769_990_000]),
]


def _period(
    access: Access, permission: Permission, place: tuple[str | None, str | None], *when: float | None
) -> Period:
    start, end = when
    end = time.time() if end is None else end
    return Period(access.sites(permission), end - DAY_S if start is None else start, end, *place)


@router.get("/api/history", responses=answers(HistoryView))
def perception(
    services: Parts,
    access: Annotated[Access, needs(Permission.READ_READINGS)],
    site: NameQuery = None,
    device: NameQuery = None,
    start: From = None,
    until: When = None,
    resolution: Resolution = "auto",
) -> Response:
    """What the devices of your sites perceived in a period, in buckets; `step` says of how many seconds, 0: readings.

    Emotions and confidence are means over the readings that perceived something; `asked / perceived` is the share
    offloaded, `agreed / compared` how often the cloud said what the device had said.
    """
    period = _period(access, Permission.READ_READINGS, (site, device), start, until)
    return json_reply(history(services.engine, period, resolution))


@router.get("/api/history/health", responses=answers(HealthHistory))
def health(
    services: Parts,
    access: Annotated[Access, needs(Permission.READ_DEVICES)],
    site: NameQuery = None,
    device: NameQuery = None,
    start: From = None,
    until: When = None,
) -> Response:
    """How the devices of your sites did in a period: the worst of each bucket."""
    period = _period(access, Permission.READ_DEVICES, (site, device), start, until)
    return json_reply(health_history(services.engine, period))
