"""Keeping the sums of history right as readings, verdicts and aggregates come: late, twice, in any order."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    FromClause,
    String,
    Table,
    and_,
    cast,
    delete,
    func,
    inspect,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from cloud.store.models import AggregateRow, Base, Meta, ReadingRow, VerdictRow
from cloud.store.summaries import MILLION, STEPS, Bucket, CrowdRow, RollupRow
from edge.emotions import EMOTIONS

log = logging.getLogger(__name__)

Row = Mapping[Any, Any]
Sums = dict[str, int]
Place = tuple[int, int, int]
"""Device key, step, bucket."""

KEY = ("device_key", "step", "bucket")
CHUNK = 2_000
"""Rows of readings that are in memory at a time while sums are made anew."""

STALE = "rollups"
"""Key of the row in `meta` that says that there are readings older than the sums."""

_READING_FIELDS = ("device_key", "id", "at", "face", "speech", "fused", "gate", "latency_ms")
_VERDICT_FIELDS = ("device_key", "reading_id", "status", "fused", "latency_ms")


def sum_names(table: type[Base]) -> list[str]:
    """Return the columns of a table of buckets that are sums."""
    return [name for name in table.__table__.columns.keys() if name not in KEY]  # noqa: SIM118 - no dictionary


def of_reading(reading: Row, verdict: Row | None) -> Sums:
    """Return what one reading with the verdict on it (None: none yet) adds to its bucket."""
    own = reading["fused"]
    answered = verdict is not None and verdict["status"] == "ok" and verdict["fused"] is not None
    final = verdict["fused"] if verdict is not None and answered else own
    probs = {} if final is None else final["probs"]
    compared = answered and own is not None
    return {
        "n": 1,
        "perceived": int(final is not None),
        "with_face": int(reading["face"] is not None),
        "with_voice": int(reading["speech"] is not None),
        "sure": int(own is not None and reading["gate"] == "sure"),
        "asked": int(reading["gate"] == "requested"),
        "answered": int(answered),
        "refused": int(verdict is not None and not answered),
        "compared": int(compared),
        "agreed": int(compared and own["emotion"] == final["emotion"]),
        "confidence": 0 if final is None else round(final["confidence"] * MILLION),
        "latency": round(reading["latency_ms"] * 1000),
        "answering": round(verdict["latency_ms"] * 1000) if verdict is not None and answered else 0,
        **{emotion: round(probs.get(emotion, 0.0) * MILLION) for emotion in EMOTIONS},
    }


def of_aggregate(aggregate: Row) -> Sums:
    """Return what one aggregate adds to its bucket. What it left out counts as 0: less than k."""
    counts = aggregate["expressions"] or {}
    return {
        "n": 1,
        "suppressed": int(aggregate["windows"] == 0),
        "windows": aggregate["windows"],
        "faces": aggregate["faces"] or 0,
        "voiced": aggregate["voiced"] or 0,
        **{emotion: counts.get(emotion, 0) for emotion in EMOTIONS},
    }


def add(connection: Connection, readings: Sequence[Row], verdicts: Sequence[Row], aggregates: Sequence[Row]) -> None:
    """Add what was just stored for the first time, in the transaction that stored it."""
    own = {(row["device_key"], row["id"]): row for row in readings}
    judged = {(row["device_key"], row["reading_id"]): row for row in verdicts}
    earlier_verdicts = _find(connection, VerdictRow, "reading_id", _VERDICT_FIELDS, own.keys() - judged.keys())
    earlier_readings = _find(connection, ReadingRow, "id", _READING_FIELDS, judged.keys() - own.keys())
    changes: list[tuple[Row, Sums]] = [
        (row, of_reading(row, judged.get(name) or earlier_verdicts.get(name))) for name, row in own.items()
    ]
    for name, row in earlier_readings.items():
        before, after = of_reading(row, None), of_reading(row, judged[name])
        changes.append((row, {column: after[column] - before[column] for column in after}))
    _upsert(connection, RollupRow, _gather(changes, STEPS))
    _upsert(connection, CrowdRow, _gather([(row, of_aggregate(row)) for row in aggregates], STEPS))


def remake(connection: Connection, device_key: int, start: float, end: float) -> int:
    """Throw away all buckets that touch [start, end) and make them anew from the rows that are there.

    What is not there any more (retention) is missing from them afterwards. Returns how many were thrown away.
    """
    thrown = 0
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE readings, verdicts, aggregates IN SHARE MODE"))  # hold the writer off
    for step in STEPS:
        low, high = int(start // step * step), int(-(-end // step) * step)
        for table in (RollupRow, CrowdRow):
            place = and_(table.device_key == device_key, table.step == step, table.bucket >= low, table.bucket < high)
            thrown += connection.execute(delete(table).where(place)).rowcount
        for rows in _stored_readings(connection, device_key, low, high):
            _upsert(connection, RollupRow, _gather(rows, (step,)))
        found = connection.execute(
            select(*AggregateRow.__table__.columns).where(
                AggregateRow.device_key == device_key, AggregateRow.at >= low, AggregateRow.at < high
            )
        )
        _upsert(connection, CrowdRow, _gather([(row, of_aggregate(row)) for row in found.mappings()], (step,)))
    return thrown


def is_stale(connection: Connection) -> bool:
    """Say whether the sums were never made of what is stored: the database comes from before there were any."""
    return connection.scalar(select(Meta.value).where(Meta.key == STALE)) is not None


def remake_all(connection: Connection) -> None:
    """Make all sums anew, and note that they are right."""
    for table in (RollupRow, CrowdRow):
        connection.execute(delete(table))
    spans: dict[int, tuple[float, float]] = {}
    for rows in (ReadingRow, AggregateRow):
        ends = select(rows.device_key, func.min(rows.at), func.max(rows.at)).group_by(rows.device_key)
        for key, first, last in connection.execute(ends):
            low, high = spans.get(key, (first, last))
            spans[key] = (min(low, first), max(high, last))
    if spans:
        log.warning("adding up the stored readings for history; only this once, it may take minutes")
    for key, (low, high) in spans.items():
        remake(connection, key, low, high + 1)
    connection.execute(delete(Meta).where(Meta.key == STALE))


def _find(
    connection: Connection, table: Any, id_column: str, fields: tuple[str, ...], names: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], Row]:
    """Return the stored rows of these (device, id), by that."""
    wanted = list(names)
    if not wanted:
        return {}
    asked = _asked(connection, wanted)
    columns = table.__table__.c
    match = and_(columns.device_key == asked.c.key, columns[id_column] == asked.c.identifier)
    found = connection.execute(
        select(*(columns[name] for name in fields)).select_from(asked.join(table.__table__, match))
    )
    return {(row["device_key"], row[id_column]): row for row in found.mappings()}


def _asked(connection: Connection, names: list[tuple[int, str]]) -> FromClause:
    """Return (device, id) pairs as something to join with: SQLite answers `(a, b) IN (...)` by looking at every row.

    One parameter for all of them, so that SQLAlchemy need not compile a statement as long as the batch each time.
    """
    keys, identifiers = zip(*names, strict=True)
    if connection.dialect.name == "postgresql":
        arrays = cast(list(keys), ARRAY(BigInteger)), cast(list(identifiers), ARRAY(String))
        return func.unnest(*arrays).table_valued("key", "identifier", name="asked").render_derived()
    pairs = func.json_each(json.dumps(names)).table_valued("value", name="pairs")
    key, identifier = (func.json_extract(pairs.c.value, f"$[{place}]") for place in (0, 1))
    return select(key.label("key"), identifier.label("identifier")).select_from(pairs).subquery("asked")


def _stored_readings(connection: Connection, key: int, low: int, high: int) -> Iterator[list[tuple[Row, Sums]]]:
    """Yield what the stored readings of [low, high) add, a chunk at a time."""
    verdict = [getattr(VerdictRow, name).label(f"verdict_{name}") for name in _VERDICT_FIELDS[1:]]
    match = and_(VerdictRow.device_key == ReadingRow.device_key, VerdictRow.reading_id == ReadingRow.id)
    query = (
        select(*(getattr(ReadingRow, name) for name in _READING_FIELDS), *verdict)
        .outerjoin(VerdictRow, match)
        .where(ReadingRow.device_key == key, ReadingRow.at >= low, ReadingRow.at < high)
        .order_by(ReadingRow.at, ReadingRow.id)
        .limit(CHUNK)
    )
    rows = connection.execute(query).mappings().all()
    while rows:
        yield [(row, of_reading(row, _verdict_of(row))) for row in rows]
        after = tuple_(ReadingRow.at, ReadingRow.id) > tuple_(rows[-1]["at"], rows[-1]["id"])
        rows = connection.execute(query.where(after)).mappings().all()


def _verdict_of(row: Row) -> Row | None:
    if row["verdict_reading_id"] is None:
        return None
    return {name: row[f"verdict_{name}"] for name in _VERDICT_FIELDS[1:]}


def _gather(changes: Iterable[tuple[Row, Sums]], steps: Sequence[int]) -> dict[Place, Sums]:
    """Add up what goes into the same bucket."""
    gathered: dict[Place, Sums] = {}
    for row, sums in changes:
        for step in steps:
            place = (row["device_key"], step, int(row["at"] // step * step))
            into = gathered.setdefault(place, dict.fromkeys(sums, 0))
            for name, value in sums.items():
                into[name] += value
    return gathered


def _upsert(connection: Connection, table: type[Bucket], gathered: dict[Place, Sums]) -> None:
    """Add to the buckets that are there, and make those that are not."""
    if not gathered:
        return
    target = inspect(table).local_table
    assert isinstance(target, Table)
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(target)
    names = next(iter(gathered.values()))
    added = {name: target.c[name] + statement.excluded[name] for name in names}
    statement = statement.on_conflict_do_update(index_elements=list(KEY), set_=added)
    rows = [dict(zip(KEY, place, strict=True)) | sums for place, sums in sorted(gathered.items())]
    connection.execute(statement, rows)
