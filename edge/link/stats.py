"""What the link counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.link.connect import Connector


@dataclass(frozen=True)
class LinkStats:
    """Counts since the start of the link."""

    connected: bool
    protocol: str
    """MQTT version of this or the next connection: `5` or `3.1.1`."""
    connects: int
    problem: str
    """Why there is no connection; empty while there is one."""
    published: int
    acknowledged: int
    refused: int
    """Messages that the broker refused (PUBACK 135 = its access rules), which only MQTT 5 tells."""
    put_off: int
    """Times that the broker had no room for a message (PUBACK 151): it is kept and sent again."""
    lost: int
    """Messages that are not spooled and could not be sent or were not acknowledged: health, evidence, replies."""
    dropped: int
    """Rows given up in memory because the disk took none; see `Outbox.dropped` for those on disk."""
    verdicts: int
    verdicts_refused: int
    """Those of the verdicts that refuse to judge; the log says why."""
    verdicts_late: int
    verdicts_unknown: int
    commands: int
    ignored: int
    """Messages that were garbage, too large, of another version or not for this device."""


def link_stats(
    *, connected: bool, connector: Connector, sent: Mapping[str, int], heard: Mapping[str, int]
) -> LinkStats:
    """Return the counts of the link's parts; `sent` is the courier's, `heard` those of what came in."""
    return LinkStats(
        connected=connected,
        protocol=connector.version,
        connects=connector.connects,
        problem=connector.last_problem,
        published=sent["published"],
        acknowledged=sent["acknowledged"],
        refused=sent["refused"],
        put_off=sent["put_off"],
        lost=sent["lost"],
        dropped=sent["dropped"],
        verdicts=heard["verdicts"],
        verdicts_refused=heard["verdicts_refused"],
        verdicts_late=heard["verdicts_late"],
        verdicts_unknown=heard["verdicts_unknown"],
        commands=heard["commands"],
        ignored=heard["ignored"],
    )
