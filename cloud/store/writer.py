"""Saving what arrived, a batch in one transaction, idempotent on (device, message id)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.arrivals import Arrival
from cloud.store import rollups
from cloud.store.erased import admitted
from cloud.store.models import AggregateRow, Base, Device, EventRow, ReadingRow, VerdictRow
from cloud.store.summaries import HealthRow
from edge.protocol import Aggregate, Availability, Birth, Event, Health, Message, Reading, Verdict

Row = dict[str, Any]
Name = tuple[str, str]
"""Site and device."""

_TABLES: dict[type[msgspec.Struct], type[Base]] = {
    Reading: ReadingRow,
    Verdict: VerdictRow,
    Aggregate: AggregateRow,
    Event: EventRow,
    Health: HealthRow,
}


def save(engine: Engine, arrivals: Sequence[Arrival]) -> list[bool]:
    """Store a batch in one transaction; return for each arrival whether it was new.

    A message whose id the device has sent before, a second verdict on one reading, and what lies in a period that was
    erased, change nothing. States (availability, birth) are always new. The sums of history are kept in the same
    transaction. Raises SQLAlchemyError, and then nothing of the batch is stored.
    """
    with engine.begin() as connection:
        welcome = admitted(connection, arrivals)
        taken = [arrival for arrival, good in zip(arrivals, welcome, strict=True) if good]
        keys = _device_keys(connection, taken)
        stored = iter(_insert_messages(connection, taken, keys))
        _update_devices(connection, taken, keys)
        return [good and next(stored) for good in welcome]


def _device_keys(connection: Connection, arrivals: Iterable[Arrival]) -> dict[Name, int]:
    """Return the keys of the devices in a batch, making rows for those never heard of."""
    names: dict[Name, float] = {}
    for arrival in arrivals:
        names.setdefault((arrival.site, arrival.device), arrival.received_at)
    rows: list[Row] = [
        {"site": site, "device": device, "first_seen": seen, "last_seen": seen}
        for (site, device), seen in names.items()
    ]
    _insert(connection, Device.__table__, rows, returning=())
    sites = {site for site, _ in names}
    found = connection.execute(select(Device.key, Device.site, Device.device).where(Device.site.in_(sites)))
    return {(row.site, row.device): row.key for row in found if (row.site, row.device) in names}


def _insert_messages(connection: Connection, arrivals: Sequence[Arrival], keys: dict[Name, int]) -> list[bool]:
    by_table: dict[type[Base], list[Row]] = {table: [] for table in _TABLES.values()}
    for arrival in arrivals:
        table = _TABLES.get(type(arrival.message))
        if table is not None:
            by_table[table].append(_row(arrival, table, keys[arrival.site, arrival.device]))
    inserted = {
        (table, key, message_id)
        for table, rows in by_table.items()
        for key, message_id in _insert(connection, table.__table__, rows, returning=("device_key", "id"))
    }
    new = {table: _pick_new(rows, table, inserted) for table, rows in by_table.items()}
    rollups.add(connection, new[ReadingRow], new[VerdictRow], new[AggregateRow])
    fresh = []
    for arrival in arrivals:
        table = _TABLES.get(type(arrival.message))
        if table is None:
            fresh.append(True)
            continue
        assert isinstance(arrival.message, Message)
        identity = (table, keys[arrival.site, arrival.device], arrival.message.id)
        fresh.append(identity in inserted)
        inserted.discard(identity)  # The same message twice in one batch is new once.
    return fresh


def _pick_new(rows: list[Row], table: type[Base], inserted: set[tuple[type[Base], Any, Any]]) -> list[Row]:
    """Return the rows that went in, each once: of two with the same key it was the first."""
    first: dict[tuple[Any, Any], Row] = {}
    for row in rows:
        first.setdefault((row["device_key"], row["id"]), row)
    return [row for name, row in first.items() if (table, *name) in inserted]


def _row(arrival: Arrival, table: type[Base], key: int) -> Row:
    """Return the columns of a message; what the message has no column for (its schema) is left out."""
    fields = msgspec.to_builtins(arrival.message)
    if isinstance(arrival.message, Health):
        fields |= _health_columns(arrival.message)
    own = {"device_key": key, "received_at": arrival.received_at, "at": arrival.at}
    return {name: value for name, value in fields.items() if name in table.__table__.columns} | own


def _health_columns(health: Health) -> Row:
    """Return what history draws of a health report and the message says in a longer way."""
    states = [source.state for source in health.sources.values()]
    columns: Row = {"down": states.count("down"), "degraded": states.count("degraded")}
    for stage in ("reading", "verdict"):
        timing = health.timings.get(stage)
        for name in ("p50_ms", "p95_ms"):
            columns[f"{stage}_{name}"] = None if timing is None else getattr(timing, name)
    return columns


def _insert(
    connection: Connection, table: Any, rows: list[Row], *, returning: tuple[str, ...]
) -> list[tuple[Any, ...]]:
    """Insert the rows that break no unique constraint; return the named columns of those that went in."""
    assert isinstance(table, Table)
    if not rows:
        return []
    # Both dialects have ON CONFLICT DO NOTHING, but SQLAlchemy has no common spelling of it.
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).on_conflict_do_nothing()
    if not returning:
        connection.execute(statement, rows)
        return []
    result = connection.execute(statement.returning(*(table.c[name] for name in returning)), rows)
    return [tuple(row) for row in result]


def _update_devices(connection: Connection, arrivals: Iterable[Arrival], keys: dict[Name, int]) -> None:
    """Write the devices' last states; later arrivals of a batch win."""
    changes: dict[int, Row] = defaultdict(dict)
    for arrival in arrivals:
        change = changes[keys[arrival.site, arrival.device]]
        message = arrival.message
        if isinstance(message, Availability):
            change |= {"availability": message.state, "availability_at": arrival.received_at}
        elif isinstance(message, Birth | Health | Event):
            change[type(message).__name__.lower()] = msgspec.to_builtins(message)
        will = isinstance(message, Availability) and message.state == "lost"
        if not (arrival.retained or will or isinstance(message, Verdict)):  # only what the device itself said just now
            change["last_seen"] = arrival.received_at
    alike: dict[frozenset[str], list[Row]] = defaultdict(list)
    for key, change in changes.items():
        if change:
            alike[frozenset(change)].append(change | {"row_key": key})
    table = Device.__table__
    assert isinstance(table, Table)
    for rows in alike.values():  # one statement for all rows that change the same columns: mostly `last_seen` alone
        connection.execute(update(table).where(table.c.key == bindparam("row_key")), rows)
