"""Erasing what a device, or a whole site, said in a period: messages, verdicts, sums, states.

cloud.store.erased keeps it away afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, Engine, delete, exists, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cloud.accounts.audit import record
from cloud.store import rollups
from cloud.store.alerts import AlertRow
from cloud.store.models import AggregateRow, Device, EventRow, ReadingRow, VerdictRow
from cloud.store.removal import Counts, remove_alerts, remove_messages, remove_orphaned_verdicts, remove_readings
from cloud.store.summaries import CrowdRow, ErasureRow, HealthRow, RollupRow

EVER = -1e12
"""Unix seconds before everything: the start of a period that has none."""


def erase(
    engine: Engine, site: str, device: str | None, start: float, end: float, *, actor: str, now: float
) -> tuple[int, Counts]:
    """Erase [start, end) in Unix seconds; return the erasure's number and how many rows of what went.

    `device` None: every device of the site. What late messages say of the period is refused from the first moment on.
    Work is done in small transactions, so that ingest goes on; if it is cut off, `finish` goes on with it.
    """
    with Session(engine) as session, session.begin():
        row = ErasureRow(site=site, device=device, start=start, end=end, at=now, actor=actor, done=False)
        session.add(row)
        _audit(session, "privacy.erase", row, {})
        session.flush()
        key = row.key
    return key, finish(engine, key)


def unfinished(engine: Engine) -> list[int]:
    """Return the numbers of the erasures that were cut off."""
    with engine.connect() as connection:
        return list(connection.scalars(select(ErasureRow.key).where(ErasureRow.done.is_(False))))


def finish(engine: Engine, key: int) -> Counts:
    """Do what an erasure has still to do; return how many rows of what went."""
    with Session(engine) as session:
        erasure = session.get_one(ErasureRow, key)
        start, end = erasure.start, erasure.end
        devices = select(Device.key).where(Device.site == erasure.site)
        if erasure.device is not None:
            devices = devices.where(Device.device == erasure.device)
        keys = list(session.scalars(devices))
    counts: Counts = defaultdict(int)
    for device in keys:
        _erase_device(engine, device, start, end, counts)
    with Session(engine) as session, session.begin():
        erasure = session.get_one(ErasureRow, key)
        erasure.done = True
        _audit(session, "privacy.erased", erasure, {name: n for name, n in counts.items() if n})
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            # The write-ahead log has old pages; while others read it is emptied later.
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    return dict(counts)


def _audit(session: Session, action: str, erasure: ErasureRow, counts: Counts) -> None:
    """Say who erased what of when; of what was erased only how much it was."""
    period: dict[str, Any] = {"from": None if erasure.start <= EVER else erasure.start, "until": erasure.end}
    target = erasure.device or "all devices"
    record(
        session, at=erasure.at, actor=erasure.actor, action=action, site=erasure.site, target=target, **period, **counts
    )


def _erase_device(engine: Engine, key: int, start: float, end: float, counts: Counts) -> None:
    remove_readings(engine, key, start, end, counts)
    remove_orphaned_verdicts(engine, key, start, end, counts)
    for table in (AggregateRow, EventRow, HealthRow):
        remove_messages(engine, table, key, start, end, counts)
    remove_alerts(engine, key, start, end, counts)
    with engine.begin() as connection:
        # What is made anew are the buckets at the two ends, of the readings that stay.
        counts["rollups"] += rollups.remake(connection, key, start, end)
        _erase_states(connection, key, start, end)
    try:
        with engine.begin() as connection:
            _forget_device(connection, key, end)
    except IntegrityError:
        pass  # it has spoken in the meantime, so it stays


def _erase_states(connection: Connection, key: int, start: float, end: float) -> None:
    """Forget the last health and event where they are of the period; the birth says nothing about people."""
    device = connection.execute(select(Device.health, Device.event).where(Device.key == key)).one()
    for name, message in (("health", device.health), ("event", device.event)):
        if message is not None and start <= message["ts"] < end:
            connection.execute(update(Device).where(Device.key == key).values({name: None}))


def _forget_device(connection: Connection, key: int, end: float) -> None:
    """Take the device itself away if nothing of it is left and it has not spoken since."""
    tables = (ReadingRow, VerdictRow, AggregateRow, EventRow, HealthRow, RollupRow, CrowdRow, AlertRow)
    left = [~exists().where(table.device_key == Device.key) for table in tables]
    connection.execute(delete(Device).where(Device.key == key, Device.last_seen < end, *left))
