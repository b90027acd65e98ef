"""What a check finds, and how a person or a program is told."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # report is imported for --help, which need not wait for msgspec
    from edge.settings import Config

Status = Literal["ok", "warn", "fail", "skip"]

CHECKS = (
    "config",
    "mode",
    "daemon",
    "runtime",
    "models",
    "camera",
    "microphone",
    "broker",
    "certificates",
    "clock",
    "disk",
    "memory",
    "temperature",
    "power",
    "permissions",
)
"""In the order in which they are done and told."""

EXIT_STATUS = {"ok": 0, "skip": 0, "warn": 3, "fail": 1}
EXIT_HELP = "Exit status: 0 all ok (or skipped), 3 warnings, 1 at least one failure, 2 wrong command line."

_COLOURS = {"ok": "32", "warn": "33", "fail": "31", "skip": "2"}
_NAME_WIDTH = max(map(len, CHECKS))
_INDENT = " " * (6 + _NAME_WIDTH + 2)


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    status: Status
    text: str
    """What is so, in words."""
    fix: str = ""
    """What to do about it; empty where nothing is to be done."""
    detail: dict[str, Any] = field(default_factory=dict)
    """The same in figures, for programs."""


@dataclass(frozen=True)
class Line:
    """One line of the report."""

    check: str
    finding: Finding
    seconds: float
    """How long the check took."""


def worst(lines: Sequence[Line]) -> Status:
    """Return the gravest status of a report; `ok` for one in which everything was skipped."""
    found = {line.finding.status for line in lines}
    return next((status for status in ("fail", "warn") if status in found), "ok")


def as_text(line: Line, *, colour: bool) -> str:
    """Return one line of the report, wrapped to the terminal's width, with what to do below it."""
    finding = line.finding
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    status = f"{finding.status:6}"
    if colour:
        status = f"\x1b[{_COLOURS[finding.status]}m{status}\x1b[0m"
    text = textwrap.fill(finding.text, width, initial_indent=_INDENT, subsequent_indent=_INDENT)[len(_INDENT) :]
    out = f"{status}{line.check:{_NAME_WIDTH}}  {text}"
    if finding.fix:
        out += "\n" + textwrap.fill(
            finding.fix, width, initial_indent=f"{_INDENT}-> ", subsequent_indent=f"{_INDENT}   "
        )
    return out


def summary(lines: Sequence[Line]) -> str:
    """Return the last line of the report."""
    count = {status: sum(line.finding.status == status for line in lines) for status in EXIT_STATUS}
    said = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    verdict = {
        "ok": "this device is fit to work",
        "warn": "this device works, but look at the warnings",
        "fail": "this device is not fit to work",
    }
    return f"{said}: {verdict[worst(lines)]}"


def as_json(lines: Sequence[Line], *, config: Config | None) -> str:
    """Return the report as one JSON object; docs/commands.md says what stands in it."""
    report = {
        "schema": "mien.doctor/1",
        "site": config.site.name if config else None,
        "device": config.device.name if config else None,
        "status": worst(lines),
        "checks": [{"check": each.check, **asdict(each.finding), "seconds": round(each.seconds, 3)} for each in lines],
    }
    return json.dumps(report)
