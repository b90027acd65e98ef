"""What the sign for the door says: the policy, in words. Pure; edge/notice_pdf.py puts it on paper."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from edge import __version__
from edge.notice_texts import TEXTS, Lang
from edge.policy import Permissions
from edge.settings import Config

BLANK = "_" * 40
"""To be filled in by hand where the configuration names nobody."""


@dataclass(frozen=True)
class Notice:
    """The words of the sign. `camera` and `microphone`: which of the pictograms stands for an open device."""

    title: str
    sections: list[tuple[str, list[str]]]
    """Heading and sentences."""
    footer: str
    camera: bool
    microphone: bool


def compose(config: Config, allowed: Permissions, *, lang: Lang, now: float) -> Notice:
    """Return the sign of a device with `config`, of which the policy says `allowed` at `now` (Unix seconds)."""
    text = TEXTS[lang]
    camera = allowed.detect and config.camera.source != ""
    microphone = allowed.detect and config.microphone.card is not None
    sections = [
        (text["what"], _does(config, allowed, text, camera=camera, microphone=microphone)),
        (text["leaves"], _leaves(config, allowed, text, camera=camera, microphone=microphone)),
        (text["never"], _never(allowed, text)),
        (text["why"], _why(config, text) if allowed.infer else []),
        (text["who"], _who(config, text)),
    ]
    footer = text["footer"].format(
        version=__version__,
        mode=config.site.mode,
        setting=config.site.setting,
        jurisdiction=config.site.jurisdiction,
        date=_date(now),
    )
    title = text[_title(allowed, camera=camera, microphone=microphone)]
    return Notice(title, [each for each in sections if each[1]], footer, camera, microphone)


def _title(allowed: Permissions, *, camera: bool, microphone: bool) -> str:
    if not camera and not microphone:
        return "title_closed"
    if not allowed.infer:
        return "title_presence"
    return "title_both" if camera and microphone else "title_camera" if camera else "title_microphone"


def _does(config: Config, allowed: Permissions, text: dict[str, str], *, camera: bool, microphone: bool) -> list[str]:
    if not camera and not microphone:
        return [text["closed"]]
    kind = "presence" if not allowed.infer else "person" if allowed.publish_readings else "group"
    keys = ["demo"] * (config.site.mode == "demo")
    keys += [f"{kind}_face"] * camera + [f"{kind}_voice"] * microphone
    keys += ["alert"] * (allowed.local_alert and config.alert.emotions != "")
    keys += ["light"] * (config.indicator.pin is not None) + ["switch"] * (config.mute.pin is not None)
    return [text[key] for key in keys]


def _leaves(config: Config, allowed: Permissions, text: dict[str, str], *, camera: bool, microphone: bool) -> list[str]:
    if not config.mqtt.broker:
        return [text["nothing"]]
    keys = []
    if camera or microphone:
        kind = "" if allowed.infer else "presence_"
        keys += [f"{kind}readings"] * allowed.publish_readings + [f"{kind}aggregates"] * allowed.publish_aggregates
        keys += ["log_mel"] * (microphone and allowed.send_log_mel) + ["crops"] * (camera and allowed.send_crops)
    values = {
        "window": f"{config.window.length_s:g}",
        "period": f"{config.privacy.aggregate_s:g}",
        "k": config.privacy.k,
    }
    return [text[key].format(**values) for key in (*keys, "state")]


def _never(allowed: Permissions, text: dict[str, str]) -> list[str]:
    media = ["media"] * (not allowed.send_crops and not allowed.send_log_mel)
    return [text[key] for key in ("identity", *media, *["feel"] * allowed.infer)]


def _why(config: Config, text: dict[str, str]) -> list[str]:
    privacy = config.privacy
    lines = [text[privacy.basis]] if privacy.basis else []
    if config.site.mode == "research":
        date = _date(privacy.consent_expires)
        lines.append(text["study"].format(id=privacy.consent_id, ethics=privacy.ethics_reference, date=date))
    return lines


def _who(config: Config, text: dict[str, str]) -> list[str]:
    return [
        f"{text['operator']}: {config.site.operator or BLANK}",
        f"{text['contact']}: {config.site.contact or BLANK}",
        f"{text['device']}: {config.site.name} / {config.device.name}",
    ]


def _date(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).date().isoformat()
