"""Alerts: seen by who may see what they are about, acknowledged and ruled by operators, told to whom admins name."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import Field, FiniteFloat
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from cloud.accounts.audit import record
from cloud.accounts.roles import Access, Permission
from cloud.alerts.rules import MOST_DURATION_S, MOST_REPEAT_S, Kind, Modalities, Rule
from cloud.alerts.senders import check_target
from cloud.alerts.watch import tell
from cloud.api.access import NOT_FOUND, check_site, needs
from cloud.api.fields import BeforeQuery, DeviceName, EmotionName, KeyPath, Line, NameQuery, Sent, Site
from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts, Services
from cloud.api.views import AlertList, AlertView, ChannelList, ChannelMade, Nothing, RuleList, RuleView
from cloud.errors import AlertError
from cloud.store.alerts import AlertRow, ChannelRow, RuleRow
from cloud.store.models import Device

router = APIRouter(tags=["alerts"])
MAX_LIMIT = 500
QUIET = "^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$|^$"
MOST_RULES = 100
"""Of one site; so many channels, too."""

Reader = Annotated[Access, needs(Permission.READ_DEVICES)]
Operator = Annotated[Access, needs(Permission.MANAGE_ALERTS)]
Manager = Annotated[Access, needs(Permission.MANAGE_SITE)]


class RuleBody(Sent):
    """What to look out for; docs/alerts.md explains the fields."""

    name: Line = Field(min_length=1, max_length=64, examples=["angry voices"])
    kind: Kind = "expression"
    device: DeviceName | None = None
    emotions: list[EmotionName] = Field(default_factory=list, max_length=8, examples=[["angry", "fear"]])
    threshold: FiniteFloat = Field(0.6, description="a probability, or degrees Celsius")
    modalities: Modalities = "together"
    count_unsure: bool = False
    duration_s: FiniteFloat = Field(30.0, ge=0, le=MOST_DURATION_S)
    repeat_s: FiniteFloat = Field(600.0, ge=0, le=MOST_REPEAT_S)
    quiet: str = Field("", pattern=QUIET, examples=["22:00-06:00"])
    zone: Line = Field("UTC", max_length=40, examples=["Europe/Berlin"])

    def rule(self) -> Rule:
        """Return it checked. Raises AlertError."""
        if self.zone not in available_timezones():
            raise AlertError(f"there is no time zone {self.zone!r}", fix="Write it as Europe/Berlin.")
        return Rule(**self.model_dump() | {"emotions": tuple(self.emotions)})


class NewRule(RuleBody):
    """A rule of a site."""

    site: Site


class RuleChange(RuleBody):
    """A rule as it shall be from now on."""

    enabled: bool = True


class NewChannel(Sent):
    """Somebody to be told of all alerts of a site."""

    site: Site
    kind: Literal["webhook", "mail", "sns"]
    target: Line = Field(max_length=500, examples=["https://example.org/mien"])


@router.get("/api/alerts", responses=answers(AlertList))
def read(
    services: Parts,
    access: Reader,
    site: NameQuery = None,
    state: Annotated[Literal["open", "all"], Query()] = "all",
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
    before: BeforeQuery = None,
) -> Response:
    """The alerts of your sites, newest first. Those about expressions only where you may see readings."""
    query = _visible(access).order_by(AlertRow.key.desc()).limit(limit)
    if site is not None:
        query = query.where(Device.site == site)
    if state == "open":
        query = query.where(AlertRow.cleared_at.is_(None))
    if before is not None:
        query = query.where(AlertRow.key < before)
    with Session(services.engine) as session:
        return json_reply({"alerts": [_view(*row) for row in session.execute(query)]})


@router.post("/api/alerts/{identifier}/acknowledgement", responses=answers(AlertView, NOT_FOUND))
def acknowledge(services: Parts, access: Operator, identifier: KeyPath) -> Response:
    """Say that you know of an alert: it is not told again. It stays open until what it is about ends."""
    now = time.time()
    with Session(services.engine) as session, session.begin():
        row = session.execute(_visible(access).where(AlertRow.key == identifier)).first()
        if row is None or not access.may(Permission.MANAGE_ALERTS, row[1]):
            raise HTTPException(NOT_FOUND, "There is no such alert, or not for you.")
        alert, site, device = row
        if alert.acknowledged_at is None:
            alert.acknowledged_at, alert.acknowledged_by = now, access.login
            channels = session.scalars(select(ChannelRow.key).where(ChannelRow.site == site))
            tell(session, alert.key, "acknowledged", now, [None, *channels])
            record(session, at=now, actor=access.login, action="alert.acknowledge", site=site, target=alert.rule)
        return json_reply(_view(alert, site, device))


@router.get("/api/alert-rules", responses=answers(RuleList))
def read_rules(services: Parts, access: Operator) -> Response:
    """The rules of your sites."""
    query = _at_sites(
        select(RuleRow).order_by(RuleRow.site, RuleRow.key), RuleRow.site, access, Permission.MANAGE_ALERTS
    )
    with Session(services.engine) as session:
        return json_reply({"rules": [_rule_view(row) for row in session.scalars(query)]})


@router.post("/api/alert-rules", status_code=201, responses=answers(RuleView, NOT_FOUND, status=201))
def create_rule(services: Parts, access: Operator, new: NewRule) -> Response:
    """Make a rule; it holds from now on."""
    check_site(access, Permission.MANAGE_ALERTS, new.site)
    spec = asdict(RuleBody(**new.model_dump(exclude={"site"})).rule())
    with Session(services.engine) as session, session.begin():
        _check_room(session, RuleRow, new.site)
        row = RuleRow(site=new.site, enabled=True, spec=spec)
        session.add(row)
        session.flush()
        _record(session, access, "alert.rule.create", new.site, new.name)
        return json_reply(_rule_view(row), 201)


@router.put("/api/alert-rules/{identifier}", responses=answers(RuleView, NOT_FOUND))
def change_rule(services: Parts, access: Operator, identifier: KeyPath, change: RuleChange) -> Response:
    """Replace a rule, or switch it off. Its open alerts go on if it still holds."""
    with Session(services.engine) as session, session.begin():
        row = _own(session, RuleRow, identifier, access, Permission.MANAGE_ALERTS)
        row.spec = asdict(RuleBody(**change.model_dump(exclude={"enabled"})).rule())
        row.enabled = change.enabled
        _record(session, access, "alert.rule.change", row.site, change.name)
        return json_reply(_rule_view(row))


@router.delete("/api/alert-rules/{identifier}", responses=answers(Nothing, NOT_FOUND))
def delete_rule(services: Parts, access: Operator, identifier: KeyPath) -> Response:
    """Delete a rule; what it found stays, and is cleared."""
    with Session(services.engine) as session, session.begin():
        row = _own(session, RuleRow, identifier, access, Permission.MANAGE_ALERTS)
        _record(session, access, "alert.rule.delete", row.site, row.spec["name"])
        session.delete(row)
    return json_reply({})


@router.get("/api/alert-channels", responses=answers(ChannelList))
def read_channels(services: Parts, access: Manager) -> Response:
    """Who is told of the alerts of your sites, and what of it can be sent here. Secrets are not shown again."""
    query = _at_sites(select(ChannelRow).order_by(ChannelRow.key), ChannelRow.site, access, Permission.MANAGE_SITE)
    with Session(services.engine) as session:
        views = [
            {name: getattr(row, name) for name in ("key", "site", "kind", "target")} for row in session.scalars(query)
        ]
    return json_reply({"channels": views, "kinds": sorted(services.alert_channels)})


@router.post("/api/alert-channels", status_code=201, responses=answers(ChannelMade, NOT_FOUND, status=201))
def create_channel(services: Parts, access: Manager, new: NewChannel) -> Response:
    """Have somebody told. The answer has the secret that signs webhooks, once."""
    check_site(access, Permission.MANAGE_SITE, new.site)
    _check_kind(services, new.kind)
    check_target(new.kind, new.target)
    with Session(services.engine) as session, session.begin():
        _check_room(session, ChannelRow, new.site)
        row = ChannelRow(site=new.site, kind=new.kind, target=new.target, secret=secrets.token_urlsafe(32))
        session.add(row)
        session.flush()
        _record(session, access, "alert.channel.create", new.site, f"{new.kind} {new.target}")
        secret = row.secret if new.kind == "webhook" else None
        return json_reply({"key": row.key, "secret": secret}, 201)


@router.delete("/api/alert-channels/{identifier}", responses=answers(Nothing, NOT_FOUND))
def delete_channel(services: Parts, access: Manager, identifier: KeyPath) -> Response:
    """Stop telling somebody; what is still to be told there is not."""
    with Session(services.engine) as session, session.begin():
        row = _own(session, ChannelRow, identifier, access, Permission.MANAGE_SITE)
        _record(session, access, "alert.channel.delete", row.site, f"{row.kind} {row.target}")
        session.delete(row)
    return json_reply({})


def _visible(access: Access) -> Select[*tuple[Any, ...]]:
    """Return the question for the alerts that may be seen, with site and device."""
    query = select(AlertRow, Device.site, Device.device).join(Device, Device.key == AlertRow.device_key)
    of_people, of_devices = access.sites(Permission.READ_READINGS), access.sites(Permission.READ_DEVICES)
    if of_devices is not None:
        query = query.where(Device.site.in_(of_devices))
    if of_people is not None:
        query = query.where(or_(AlertRow.kind != "expression", Device.site.in_(of_people)))
    return query


def _at_sites(query: Any, column: Any, access: Access, permission: Permission) -> Any:
    sites = access.sites(permission)
    return query if sites is None else query.where(column.in_(sites))


def _own(session: Session, table: Any, key: int, access: Access, permission: Permission) -> Any:
    row = session.get(table, key)
    if row is None or not access.may(permission, row.site):
        raise HTTPException(NOT_FOUND, "There is no such rule or channel, or not for you.")
    return row


def _check_room(session: Session, table: Any, site: str) -> None:
    if len(session.scalars(select(table.key).where(table.site == site)).all()) >= MOST_RULES:
        raise AlertError(f"{site} has {MOST_RULES} of them already", fix="Delete one first.")


def _check_kind(services: Services, kind: str) -> None:
    if kind not in services.alert_channels:
        fixes = {"mail": "Start it with --smtp and --mail-from.", "sns": "Install the extra aws."}
        raise AlertError(f"this service cannot send {kind}", fix=fixes.get(kind, ""))


def _record(session: Session, access: Access, action: str, site: str, target: str) -> None:
    record(session, at=time.time(), actor=access.login, action=action, site=site, target=target)


def _rule_view(row: RuleRow) -> dict[str, Any]:
    return {"key": row.key, "site": row.site, "enabled": row.enabled} | row.spec


def _view(alert: AlertRow, site: str, device: str) -> dict[str, Any]:
    names = ("key", "rule", "kind", "text", "since", "raised_at", "acknowledged_at", "acknowledged_by", "cleared_at")
    return {"site": site, "device": device} | {name: getattr(alert, name) for name in names}
