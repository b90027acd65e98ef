"""What the routes answer, as OpenAPI tells it: accounts, alerts, sites. The routes make the replies themselves.

Every view forbids further fields, so that the tests of the served interface notice one that is not described.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from cloud.alerts.rules import Kind, Modalities


class View(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(extra="forbid")


def shown(**example: Any) -> dict[str, Any]:
    """Return what gives a view its example: `class Alive(View, json_schema_extra=shown(status="ok"))`."""
    return {"examples": [example]}


def shown_examples(view: type[View] = View) -> dict[str, Any]:
    """Return the examples of all views that have some, by the view's name."""
    found: dict[str, Any] = {}
    for one in view.__subclasses__():
        extra = one.__dict__["model_config"].get("json_schema_extra")
        if isinstance(extra, dict):
            found[one.__name__] = extra["examples"]
        found |= shown_examples(one)
    return found


class Problem(View, json_schema_extra=shown(detail="There is no such alert, or not for you.")):
    """Why a request was refused, for the person who sent it."""

    detail: str
    code: str | None = None
    """A word for programs, where there is one; docs/errors.md lists them."""


class Nothing(View, json_schema_extra=shown()):
    """Done; there is nothing to say."""


class Alive(View, json_schema_extra=shown(status="ok")):
    """The process answers."""

    status: Literal["ok"]


class Readiness(View, json_schema_extra=shown(status="ready", checks={"store": True, "worker": True})):
    """Which parts of the service work."""

    status: Literal["ready", "not ready"]
    checks: dict[str, bool]


class LoggedIn(View, json_schema_extra=shown(login="ada@school.example")):
    """The session has begun; its cookie comes with the answer."""

    login: str


_SESSION = {
    "login": "ada@school.example",
    "roles": {"school-1": "operator"},
    "permissions": ["analyse", "command-devices", "manage-alerts", "read-devices", "read-readings"],
    "csrf": "Zm9vYmFyYmF6cXV4",
    "must_change_password": False,
}


class SessionView(View, json_schema_extra=shown(**_SESSION)):
    """Who is asking, and what they may do."""

    login: str
    roles: dict[str, str]
    permissions: list[str]
    csrf: str | None
    must_change_password: bool


_TOKEN = {"id": "0123456789abcdef", "name": "nightly report", "created_at": 1.77e9, "expires_at": 1.78e9}


class TokenView(View):
    """An access token without its secret. Times are Unix seconds."""

    id: str
    name: str
    created_at: float
    expires_at: float
    used_at: float | None


class TokenList(View, json_schema_extra=shown(tokens=[_TOKEN | {"used_at": None}])):
    """One's own tokens."""

    tokens: list[TokenView]


class TokenMade(View, json_schema_extra=shown(token="mien_c2VjcmV0IG9mIGEgdG9rZW4")):  # noqa: S106 - an example
    """The token, once."""

    token: str


_ACCOUNT = {
    "login": "ada@school.example",
    "state": "active",
    "must_change_password": False,
    "created_at": 1.77e9,
    "roles": {"school-1": "viewer"},
    "has_other_sites": False,
}


class Account(View, json_schema_extra=shown(**_ACCOUNT)):
    """An account as an admin sees it."""

    login: str
    state: Literal["pending", "active", "disabled"]
    must_change_password: bool
    created_at: float
    roles: dict[str, str]
    """At the sites of who asks."""
    has_other_sites: bool


class AccountList(View, json_schema_extra=shown(users=[_ACCOUNT])):
    """Accounts by name."""

    users: list[Account]


_INVITATION = {"id": "0123456789abcdef", "site": "school-1", "role": "viewer", "invited_by": "ada", "expires_at": 1.8e9}


class InvitationView(View):
    """An invitation without its secret."""

    id: str
    site: str
    role: str
    invited_by: str
    expires_at: float


class InvitationList(View, json_schema_extra=shown(invitations=[_INVITATION])):
    """Invitations that can still be used."""

    invitations: list[InvitationView]


class InvitationMade(View, json_schema_extra=shown(invitation="c2VjcmV0IG9mIGFuIGludml0YXRpb24")):
    """The secret, once."""

    invitation: str


class Registered(View, json_schema_extra=shown(login="ada@school.example", state="pending")):
    """One's new account."""

    login: str
    state: Literal["pending", "active"]


_LINE = {"key": 17, "at": 1.77e9, "actor": "ada", "action": "login", "site": None, "target": "", "detail": {}}


class AuditLine(View):
    """What somebody did."""

    key: int
    at: float
    actor: str
    action: str
    site: str | None
    target: str
    detail: dict[str, Any]


class AuditList(View, json_schema_extra=shown(audit=[_LINE])):
    """Lines of the audit log, newest first."""

    audit: list[AuditLine]


_DAYS = {"readings_days": 30, "minutes_days": 90, "hours_days": 730, "events_days": 90}


class RetentionView(View):
    """Days."""

    readings_days: int
    minutes_days: int
    hours_days: int
    events_days: int


_SITE = {"site": "school-1", "devices": ["front-door"], "retention": _DAYS}


class SiteView(View):
    """A site, its devices, and for how long it keeps what."""

    site: str
    devices: list[str]
    retention: RetentionView


class SiteList(View, json_schema_extra=shown(sites=[_SITE])):
    """Sites by name."""

    sites: list[SiteView]


class RetentionOfSite(View, json_schema_extra=shown(site="school-1", retention=_DAYS)):
    """What holds from now on."""

    site: str
    retention: RetentionView


class Erased(View, json_schema_extra=shown(erasure=3, erased={"readings": 1200, "verdicts": 80})):
    """The erasure's number, and how many rows of which table went."""

    erasure: int
    erased: dict[str, int]


_ALERT = {
    "site": "school-1",
    "device": "front-door",
    "key": 7,
    "rule": "angry voices",
    "kind": "expression",
    "text": "angry at 0.82 for 30 s",
    "since": 1.77e9,
    "raised_at": 1.77e9,
    "acknowledged_at": None,
    "acknowledged_by": None,
    "cleared_at": None,
}


class AlertView(View, json_schema_extra=shown(**_ALERT)):
    """An alert. Times are Unix seconds."""

    site: str
    device: str
    key: int
    rule: str
    kind: Kind
    text: str
    since: float
    raised_at: float
    acknowledged_at: float | None
    acknowledged_by: str | None
    cleared_at: float | None


class AlertList(View, json_schema_extra=shown(alerts=[_ALERT])):
    """Alerts, newest first."""

    alerts: list[AlertView]


_RULE = {
    "key": 4,
    "site": "school-1",
    "enabled": True,
    "name": "angry voices",
    "kind": "expression",
    "device": None,
    "emotions": ["angry", "fear"],
    "threshold": 0.6,
    "modalities": "together",
    "count_unsure": False,
    "duration_s": 30.0,
    "repeat_s": 600.0,
    "quiet": "22:00-06:00",
    "zone": "Europe/Berlin",
}


class RuleView(View, json_schema_extra=shown(**_RULE)):
    """A rule; docs/alerts.md explains the fields."""

    key: int
    site: str
    enabled: bool
    name: str
    kind: Kind
    device: str | None
    emotions: list[str]
    threshold: float
    modalities: Modalities
    count_unsure: bool
    duration_s: float
    repeat_s: float
    quiet: str
    zone: str


class RuleList(View, json_schema_extra=shown(rules=[_RULE])):
    """Rules by site."""

    rules: list[RuleView]


_CHANNEL = {"key": 2, "site": "school-1", "kind": "webhook", "target": "https://example.org/mien"}


class ChannelView(View):
    """Somebody who is told of a site's alerts."""

    key: int
    site: str
    kind: str
    target: str


class ChannelList(View, json_schema_extra=shown(channels=[_CHANNEL], kinds=["mail", "webhook"])):
    """Who is told, and by which ways this service can tell."""

    channels: list[ChannelView]
    kinds: list[str]


class ChannelMade(View, json_schema_extra=shown(key=2, secret="c2VjcmV0IG9mIGEgd2ViaG9vaw")):  # noqa: S106 - an example
    """A webhook's secret is told once; other ways have none."""

    key: int
    secret: str | None


class CommandAnswer(View, json_schema_extra=shown(ok=True, text="camera ok; microphone ok; outbox empty")):
    """What the device answered."""

    ok: bool
    """False: it would not, or could not, or one of its parts does not work."""
    text: str
