"""For how long what is kept, per site, and the job that takes away what is older."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from typing import Any

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from cloud.accounts.audit import record
from cloud.errors import PrivacyError
from cloud.store.alerts import AlertRow
from cloud.store.erasure import EVER, finish, unfinished
from cloud.store.models import AggregateRow, Device, EventRow
from cloud.store.removal import Counts, remove_messages, remove_orphaned_verdicts, remove_readings
from cloud.store.summaries import HOUR_S, MINUTE_S, CrowdRow, HealthRow, RetentionRow, RollupRow

DAY_S = 86_400.0
MOST_DAYS = 3650
PURGE_EVERY_S = 3600.0
JOB = "retention"
"""Stands in the audit log for the job."""


@dataclass(frozen=True)
class Retention:
    """Days that a site keeps things. Raises PrivacyError unless 1 <= readings <= minutes <= hours <= 3650."""

    readings_days: int = 30
    """Readings and the verdicts on them."""
    minutes_days: int = 90
    """Sums per minute, and aggregates."""
    hours_days: int = 730
    """Sums per hour."""
    events_days: int = 90
    """Events, health reports, and alerts that are over."""

    def __post_init__(self) -> None:
        if not 1 <= self.readings_days <= self.minutes_days <= self.hours_days <= MOST_DAYS:
            fix = f"Keep 1 <= readings <= minutes <= hours <= {MOST_DAYS} days."
            raise PrivacyError("sums cannot be kept for a shorter time than what they are the sums of", fix=fix)
        if not 1 <= self.events_days <= MOST_DAYS:
            raise PrivacyError(f"{self.events_days} days are no time to keep events", fix=f"Give 1 to {MOST_DAYS}.")


def retention_of(engine: Engine, site: str) -> Retention:
    """Return what holds for a site."""
    with Session(engine) as session:
        row = session.get(RetentionRow, site)
        return Retention() if row is None else _of_row(row)


def set_retention(engine: Engine, site: str, wanted: Retention, *, actor: str, now: float) -> None:
    """Change what holds for a site; the job acts on it within the hour. Stands in the audit log."""
    with Session(engine) as session, session.begin():
        row = session.get(RetentionRow, site)
        before = Retention() if row is None else _of_row(row)
        session.merge(RetentionRow(site=site, **asdict(wanted)))
        changed: dict[str, Any] = {name: days for name, days in asdict(wanted).items() if days != getattr(before, name)}
        record(session, at=now, actor=actor, action="privacy.retention", site=site, **changed)


def purge(
    engine: Engine, *, now: float | None = None, stopping: Callable[[], bool] = lambda: False
) -> dict[str, Counts]:
    """Take away what is older than each site keeps it, and what a cut-off erasure left; return the counts per site.

    `stopping` is asked after each device whether to leave the rest for the next time. Stands in the audit log, if there
    was anything.
    """
    now = time.time() if now is None else now
    for key in unfinished(engine):
        finish(engine, key)
    with Session(engine) as session:
        rows = {row.site: _of_row(row) for row in session.scalars(select(RetentionRow))}
        devices = session.execute(select(Device.site, Device.key)).all()
    removed: dict[str, Counts] = {}
    for site, key in devices:
        if stopping():
            break
        _purge_device(engine, key, rows.get(site, Retention()), now, removed.setdefault(site, {}))
    removed = {site: {name: n for name, n in counts.items() if n} for site, counts in removed.items()}
    removed = {site: counts for site, counts in removed.items() if counts}
    with Session(engine) as session, session.begin():
        for site, counts in removed.items():
            detail: dict[str, Any] = dict(counts)
            record(session, at=now, actor=JOB, action="privacy.purge", site=site, **detail)
    return removed


def _of_row(row: RetentionRow) -> Retention:
    return Retention(row.readings_days, row.minutes_days, row.hours_days, row.events_days)


def _purge_device(engine: Engine, key: int, kept: Retention, now: float, counts: Counts) -> None:
    readings, minutes, hours, events = (now - days * DAY_S for days in astuple(kept))
    remove_readings(engine, key, EVER, readings, counts)
    remove_orphaned_verdicts(engine, key, EVER, readings, counts)
    remove_messages(engine, AggregateRow, key, EVER, minutes, counts)
    for table in (EventRow, HealthRow):
        remove_messages(engine, table, key, EVER, events, counts)
    with engine.begin() as connection:
        over = (AlertRow.device_key == key, AlertRow.cleared_at < events)
        counts["alerts"] = counts.get("alerts", 0) + connection.execute(delete(AlertRow).where(*over)).rowcount
        for sums in (RollupRow, CrowdRow):
            for step, before in ((MINUTE_S, minutes), (HOUR_S, hours)):
                old = (sums.device_key == key, sums.step == step, sums.bucket < before - step)
                gone = connection.execute(delete(sums).where(*old)).rowcount
                counts[sums.__tablename__] = counts.get(sums.__tablename__, 0) + gone
