"""What may run on this device and what may leave it. Pure: one function, `decide`, and no path goes round it.

The table that it implements is in docs/privacy.md. Remote commands may only tighten what it allows (`muted`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from edge.protocol import Mode

Setting = Literal["education", "workplace", "private", "public"]
"""Where the device stands. A fleet vehicle is a workplace."""

Offload = Literal["never", "features", "crops"]
"""What evidence may carry: nothing; log-mel only; log-mel and crops. A log-mel is speech: it can be turned back."""

Basis = Literal["", "medical", "safety"]
"""The declared ground for inferring emotions at work or in education (EU AI Act, Art. 5(1)(f))."""

OUTSIDE_EU = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AU AW AZ BA BB BD BF BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF
    CG CH CI CK CL CM CN CO CR CU CV CW CX DJ DM DO DZ EC EG EH ER ET FJ FK FM FO GA GB GD GE GG GH GI GL GM GN GQ
    GS GT GU GW GY HK HM HN HT ID IL IM IN IO IQ IR JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LK LR LS
    LY MA MC MD ME MG MH MK ML MM MN MO MP MR MS MU MV MW MX MY MZ NA NC NE NF NG NI NP NR NU NZ OM PA PE PF PG PH
    PK PM PN PR PS PW PY QA RS RU RW SA SB SC SD SG SH SJ SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL
    TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE ZA ZM ZW
    """.split()  # noqa: SIM905 - as a list it would fill three screens
)
"""ISO 3166-1 alpha-2 codes outside the EU, the EEA and the EU's outermost regions. Whatever is not in this list, a
member state, `EU`, `unknown`, another spelling or a typo, gets the strict law."""

Jurisdiction = Annotated[str, Meta(pattern="^([A-Z]{2}|EEA|unknown)$")]
PROTECTED = ("education", "workplace")

MIN_AGGREGATE_S = 60.0
MIN_K = 3
"""Fewer faces than this are never published as an aggregate, whatever the configuration says."""


@dataclass(frozen=True, kw_only=True)
class Consent:
    """A consent record of a study, as the research mode needs it."""

    id: str
    expires: float
    """Unix time in seconds."""
    ethics_reference: str


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the owner of the site declared. None of it has a default in the configuration."""

    mode: Mode
    setting: Setting
    jurisdiction: Jurisdiction
    """ISO 3166-1 alpha-2 country code, `EU`, `EEA`, or `unknown`."""
    offload: Offload
    basis: Basis = ""
    consent: Consent | None = None


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """What follows from a `Site`. Everything not listed as True is forbidden."""

    open_devices: bool = False
    """May the camera and the microphone be opened at all?"""
    detect: bool = False
    """Presence of faces and of a voice."""
    infer: bool = False
    """Expression and vocal tone."""
    fuse: bool = False
    """One reading per person from both."""
    publish_readings: bool = False
    publish_aggregates: bool = False
    send_log_mel: bool = False
    send_crops: bool = False
    publish_verdict_readings: bool = False
    """May a verdict be shown for a single reading? Else it lives in memory and leaves only inside aggregates."""
    local_alert: bool = False
    """May a light or a sound answer the readings of one person? Never where people are only counted."""
    why: str = ""
    """In words, for logs, `mien-edge check` and the dashboard."""


def decide(site: Site, *, now: float | None, muted: bool = False) -> Permissions:
    """Return what may run and leave under `site` at `now` (Unix seconds); `muted` stops everything.

    `now` None: the clock may be wrong, so nobody can say that a consent still holds, and it counts as expired.
    """
    if muted or site.mode == "off":
        return Permissions(why="muted: devices closed" if muted else "mode off: devices closed")
    if site.mode == "demo":
        return _readings(site, why="demo: everything runs and is marked demo")
    if site.mode == "research" and not _consent_valid(site.consent, now):
        unknown = now is None and _consent_valid(site.consent, float("-inf"))
        what = (
            "the clock is not synchronised, so the consent cannot be judged" if unknown else "no valid consent record"
        )
        return Permissions(why=f"research, {what}: devices closed")
    if forbidden_by_law(site):
        return Permissions(
            open_devices=True,
            detect=True,
            publish_readings=site.mode != "classroom",
            publish_aggregates=site.mode == "classroom",
            why="no medical or safety basis declared: presence and noise level only (EU AI Act, Art. 5(1)(f))",
        )
    if site.mode == "classroom":
        declared = site.basis != ""
        return Permissions(
            open_devices=True,
            detect=True,
            infer=True,
            publish_aggregates=True,
            send_log_mel=declared and site.offload != "never",
            send_crops=declared and site.offload == "crops",
            why="classroom: aggregates only",
        )
    return _readings(site, why=f"{site.mode}: readings; evidence: {site.offload}", need_basis=site.mode == "vehicle")


def forbidden_by_law(site: Site) -> bool:
    """Tell whether inferring emotions is prohibited: at work or in education, in the EU/EEA or who knows where."""
    return site.jurisdiction not in OUTSIDE_EU and site.setting in PROTECTED and site.basis == ""


def _readings(site: Site, *, why: str, need_basis: bool = False) -> Permissions:
    may_send = site.offload != "never" and (not need_basis or site.basis != "")
    return Permissions(
        open_devices=True,
        detect=True,
        infer=True,
        fuse=True,
        publish_readings=True,
        send_log_mel=may_send,
        send_crops=may_send and site.offload == "crops",
        publish_verdict_readings=True,
        local_alert=True,
        why=why,
    )


def _consent_valid(consent: Consent | None, now: float | None) -> bool:
    if consent is None or now is None:
        return False
    return bool(consent.id) and bool(consent.ethics_reference) and now < consent.expires
