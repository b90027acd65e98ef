"""Taking rows away, a few at a time: a transaction that deletes a million would hold up ingest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, delete, exists, select

from cloud.store.alerts import AlertRow
from cloud.store.models import ReadingRow, VerdictRow

Counts = dict[str, int]
"""Table -> rows that were taken away."""

CHUNK = 2_000


def remove_readings(engine: Engine, key: int, start: float, end: float, counts: Counts) -> None:
    """Delete a device's readings of [start, end) with the verdicts on them; the sums stay as they are."""
    inside = (ReadingRow.device_key == key, ReadingRow.at >= start, ReadingRow.at < end)
    while True:
        with engine.begin() as connection:
            ids = list(connection.scalars(select(ReadingRow.id).where(*inside).limit(CHUNK)))
            if not ids:
                return
            of_these = (VerdictRow.device_key == key, VerdictRow.reading_id.in_(ids))
            counts["verdicts"] = (
                counts.get("verdicts", 0) + connection.execute(delete(VerdictRow).where(*of_these)).rowcount
            )
            gone = connection.execute(delete(ReadingRow).where(ReadingRow.device_key == key, ReadingRow.id.in_(ids)))
            counts["readings"] = counts.get("readings", 0) + gone.rowcount


def remove_orphaned_verdicts(engine: Engine, key: int, start: float, end: float, counts: Counts) -> None:
    """Delete a device's verdicts of [start, end) whose readings are not there: gone, or never come."""
    has_reading = exists().where(ReadingRow.device_key == key, ReadingRow.id == VerdictRow.reading_id)
    remove_messages(engine, VerdictRow, key, start, end, counts, ~has_reading)


def remove_alerts(engine: Engine, key: int, start: float, end: float, counts: Counts) -> None:
    """Delete a device's alerts that touch [start, end), with what is still to be told of them."""
    with engine.begin() as connection:
        inside = (AlertRow.device_key == key, AlertRow.since < end, AlertRow.last_held_at >= start)
        counts["alerts"] = counts.get("alerts", 0) + connection.execute(delete(AlertRow).where(*inside)).rowcount


def remove_messages(
    engine: Engine, table: Any, key: int, start: float, end: float, counts: Counts, *conditions: Any
) -> None:
    """Delete a device's rows of [start, end) in one table of messages."""
    inside = (table.device_key == key, table.at >= start, table.at < end, *conditions)
    while True:
        with engine.begin() as connection:
            ids = list(connection.scalars(select(table.id).where(*inside).limit(CHUNK)))
            if not ids:
                return
            gone = connection.execute(delete(table).where(table.device_key == key, table.id.in_(ids)))
            counts[table.__tablename__] = counts.get(table.__tablename__, 0) + gone.rowcount
