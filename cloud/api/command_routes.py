"""Asking a device for something: by operators and technicians, answered by the device itself."""

from __future__ import annotations

import time
from typing import Annotated

import aiomqtt
from fastapi import APIRouter, HTTPException, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ConfigDict, Field
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from cloud.accounts.audit import record
from cloud.accounts.roles import Access, Permission
from cloud.api.access import NOT_FOUND, check_site, needs
from cloud.api.fields import DevicePath, Sent, SitePath
from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts
from cloud.api.views import CommandAnswer
from cloud.commands import Verb
from cloud.store.models import Device

router = APIRouter(prefix="/api/sites", tags=["commands"])
NOT_ONLINE, NO_BROKER, NO_ANSWER = 409, 503, 504
LONGEST_S = 10.0
LONGEST_TEXT = 1000

Commander = Annotated[Access, needs(Permission.COMMAND_DEVICES)]


class NewCommand(Sent):
    """`rebirth`: say again who you are; `selftest`: say how your parts do; `mute`: close camera and microphone.

    A mute ends at the device only. No verb takes arguments.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    verb: Verb
    wait_s: float = Field(LONGEST_S, ge=0.1, le=LONGEST_S, description="seconds that the device has to answer")


@router.post(
    "/{site}/devices/{device}/commands",
    responses=answers(CommandAnswer, NOT_FOUND, NOT_ONLINE, NO_BROKER, NO_ANSWER),
)
async def send(services: Parts, access: Commander, site: SitePath, device: DevicePath, new: NewCommand) -> Response:
    """Ask a device for something, and wait for its answer. `ok` is false where it would not or could not."""
    check_site(access, Permission.COMMAND_DEVICES, site)
    state = await run_in_threadpool(_state, services.engine, site, device)

    async def noted(outcome: str) -> None:
        await run_in_threadpool(_record, services.engine, access.login, site, device, new.verb, outcome)

    if state != "online":
        await noted("not online")
        raise HTTPException(NOT_ONLINE, f"{device} is not online, so nobody was asked.")
    if services.commands is None:
        raise HTTPException(NO_BROKER, "This service has no connection to a broker.")
    try:
        reply = await services.commands.ask(site, device, new.verb, within_s=new.wait_s)
    except TimeoutError as error:
        await noted("no answer")
        what = f"{device} did not answer within {new.wait_s:g} s; it may have heard nevertheless."
        raise HTTPException(NO_ANSWER, what) from error
    except aiomqtt.MqttError as error:
        await noted("no broker")
        raise HTTPException(NO_BROKER, "The broker cannot be reached at the moment. Please try again.") from error
    await noted("done" if reply.ok else "not done")
    return json_reply({"ok": reply.ok, "text": reply.text[:LONGEST_TEXT]})


def _state(engine: Engine, site: str, device: str) -> str | None:
    """Return what the device last said of its availability. Raises HTTPException 404 if there is no such device."""
    with Session(engine) as session:
        row = session.scalars(select(Device).where(Device.site == site, Device.device == device)).first()
        if row is None:
            raise HTTPException(NOT_FOUND, f"There is no device {device!r} at {site}.")
        return row.availability


def _record(engine: Engine, login: str, site: str, device: str, verb: Verb, outcome: str) -> None:
    with Session(engine) as session, session.begin():
        detail = {"verb": verb, "outcome": outcome}
        record(session, at=time.time(), actor=login, action="device.command", site=site, target=device, **detail)
