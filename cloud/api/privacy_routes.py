"""How long a site keeps what, and erasing."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Response
from pydantic import Field

from cloud import store
from cloud.accounts.roles import Access, Permission
from cloud.api.access import NOT_FOUND, check_site, needs
from cloud.api.fields import DeviceName, Sent, SitePath, UnixSeconds, Whole
from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts
from cloud.api.views import Erased, RetentionOfSite, SiteList
from cloud.store.erasure import EVER, erase
from cloud.store.retention import MOST_DAYS, Retention, retention_of, set_retention

router = APIRouter(prefix="/api/sites", tags=["privacy"])
Manager = Annotated[Access, needs(Permission.MANAGE_SITE)]
Days = Annotated[Whole, Field(ge=1, le=MOST_DAYS)]


class RetentionChange(Sent):
    """Days; readings <= minutes <= hours."""

    readings_days: Days = Field(examples=[30])
    minutes_days: Days = Field(examples=[90])
    hours_days: Days = Field(examples=[730])
    events_days: Days = Field(examples=[90])


class Erasure(Sent):
    """A period in Unix seconds. Without a device: all of the site; without `from`: from the beginning."""

    device: DeviceName | None = None
    start: UnixSeconds | None = Field(None, alias="from", examples=[1_770_000_000])
    until: UnixSeconds = Field(examples=[1_770_003_600])


@router.get("", responses=answers(SiteList))
def read(services: Parts, access: Manager) -> Response:
    """The sites that you manage, with their devices and for how many days they keep what."""
    views: dict[str, dict[str, Any]] = {}
    for device in store.devices(services.engine, sites=access.sites(Permission.MANAGE_SITE)):
        site = device["site"]
        if site not in views:
            views[site] = {"site": site, "devices": [], "retention": asdict(retention_of(services.engine, site))}
        views[site]["devices"].append(device["device"])
    return json_reply({"sites": list(views.values())})


@router.put("/{site}/retention", responses=answers(RetentionOfSite, NOT_FOUND))
def change_retention(services: Parts, access: Manager, site: SitePath, change: RetentionChange) -> Response:
    """Change for how many days a site keeps what; what is older goes within the hour."""
    check_site(access, Permission.MANAGE_SITE, site)
    wanted = Retention(**change.model_dump())
    set_retention(services.engine, site, wanted, actor=access.login, now=time.time())
    return json_reply({"site": site, "retention": asdict(wanted)})


@router.post("/{site}/erasures", responses=answers(Erased, NOT_FOUND))
def erase_period(services: Parts, access: Manager, site: SitePath, wanted: Erasure) -> Response:
    """Erase what was said in a period, for good, late messages included. Answers when it is done: counts per table."""
    check_site(access, Permission.MANAGE_SITE, site)
    known = [one["device"] for one in store.devices(services.engine, sites=frozenset({site}))]
    if wanted.device is not None and wanted.device not in known:
        raise HTTPException(NOT_FOUND, f"There is no device {wanted.device!r} at {site}.")
    now = time.time()
    start, end = EVER if wanted.start is None else wanted.start, min(wanted.until, now)
    if start >= end:
        raise HTTPException(422, "The period has to end after it begins.")
    key, counts = erase(services.engine, site, wanted.device, start, end, actor=access.login, now=now)
    return json_reply({"erasure": key, "erased": counts})
