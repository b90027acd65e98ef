"""Keeping away what was erased: a device may send messages of that time late."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, select

from cloud.arrivals import Arrival
from cloud.store.summaries import ErasureRow


def admitted(connection: Connection, arrivals: Sequence[Arrival]) -> list[bool]:
    """Say of each message whether it may be stored: it lies in no period that was erased."""
    sites = {arrival.site for arrival in arrivals}
    found = connection.execute(select(*ErasureRow.__table__.columns).where(ErasureRow.site.in_(sites))).all()
    if not found:
        return [True] * len(arrivals)
    periods: dict[tuple[str, str | None], list[tuple[float, float]]] = defaultdict(list)
    for row in found:
        periods[row.site, row.device].append((row.start, row.end))
    return [
        not any(
            start <= arrival.at < end
            for device in (None, arrival.device)
            for start, end in periods.get((arrival.site, device), ())
        )
        for arrival in arrivals
    ]
