"""What history draws: a period in a few hundred buckets, of sums where they suffice and of readings where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import BigInteger, Connection, Engine, and_, case, cast, func, select

from cloud.errors import HistoryError
from cloud.store.models import Device, ReadingRow, VerdictRow
from cloud.store.queries import Sites, View
from cloud.store.rollups import of_reading, sum_names
from cloud.store.summaries import HOUR_S, MILLION, MINUTE_S, CrowdRow, HealthRow, RollupRow
from edge.emotions import EMOTIONS

Resolution = Literal["auto", "raw", "minute", "hour"]
RAW, MINUTE, HOUR = 0, MINUTE_S, HOUR_S

RAW_SPAN_S = 3600.0
"""A period that is no longer than this is shown reading by reading, if it holds no more than MAX_RAW of them."""

MAX_RAW = 2_000
MAX_BUCKETS = 20_000
GOOD_BUCKETS = 400
"""As many as a screen can tell apart; more are put together."""

WIDTHS_S = (60, 300, 900, 3600, 10_800, 21_600, 86_400, 604_800)
"""Seconds of the buckets that are shown; each is a multiple of what is stored."""


@dataclass(frozen=True)
class Period:
    """What is asked for: where, and Unix seconds from `start` to before `end`. Raises HistoryError if that is none."""

    sites: Sites
    start: float
    end: float
    site: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < 1e11:
            raise HistoryError("the period has to end after it begins", fix="Give from and until in Unix seconds.")

    def keys(self, connection: Connection) -> list[int]:
        """Return the keys of the devices meant."""
        query = select(Device.key)
        if self.sites is not None:
            query = query.where(Device.site.in_(self.sites))
        if self.site is not None:
            query = query.where(Device.site == self.site)
        if self.device is not None:
            query = query.where(Device.device == self.device)
        return list(connection.scalars(query))


def history(engine: Engine, period: Period, resolution: Resolution = "auto") -> View:
    """Return what the devices of a period perceived, as columns of buckets, oldest first.

    `step` is the length of the buckets in seconds, 0 if each is one reading. `perception` has `at` and the sums of
    `RollupRow`, probabilities and confidence as means over the readings that perceived something, times as means in
    milliseconds; `crowd` the same of aggregates, counts as means per aggregate; `totals` all of it as one bucket.
    Means of nothing are null. Raises HistoryError for a resolution that would make too many buckets.
    """
    with engine.connect() as connection:
        keys = period.keys(connection)
        # Readings of several devices lie in between each other: by themselves they draw as a tangle.
        by_reading = resolution == "raw" or (resolution == "auto" and len(keys) == 1)
        rows = _raw(connection, period, keys) if by_reading else None
        if rows is None and resolution == "raw":
            fix = "Ask for a shorter period, or for minutes."
            raise HistoryError(f"there are more than {MAX_RAW} readings in the period", fix=fix)
        step = RAW if rows is not None else _step(period, resolution)
        if rows is None:
            rows = _sums(connection, RollupRow, period, keys, step)
        crowd = _sums(connection, CrowdRow, period, keys, step or MINUTE)
        return {
            "from": period.start,
            "until": period.end,
            "step": step,
            "perception": _perception(rows),
            "totals": _total(_perception, RollupRow, rows),
            "crowd": _crowd(crowd),
            "crowd_totals": _total(_crowd, CrowdRow, crowd),
        }


def health_history(engine: Engine, period: Period) -> View:
    """Return the health reports of a period, a column each, the worst of each bucket; null where none tells."""
    step = _step(period, "auto")
    start = cast(func.floor(HealthRow.at / step), BigInteger) * step
    worst = ("down", "degraded", "outbox_rows", "memory_mb", "temperature_c", "reading_p95_ms", "verdict_p95_ms")
    medians = ("reading_p50_ms", "verdict_p50_ms")
    columns = [func.max(getattr(HealthRow, name)).label(name) for name in worst]
    columns += [func.avg(getattr(HealthRow, name)).label(name) for name in medians]
    with engine.connect() as connection:
        keys = period.keys(connection)
        inside = (HealthRow.device_key.in_(keys), HealthRow.at >= period.start, HealthRow.at < period.end)
        query = select(start.label("at"), func.count().label("n"), *columns).where(*inside)
        rows = [dict(row) for row in connection.execute(query.group_by(start).order_by(start)).mappings()]
    view = {name: [row[name] for row in rows] for name in ("at", "n", *worst, *medians)}
    return {"from": period.start, "until": period.end, "step": step, "health": view}


def _step(period: Period, resolution: Resolution) -> int:
    span = period.end - period.start
    if resolution == "auto":
        return next((width for width in WIDTHS_S if span / width <= GOOD_BUCKETS), WIDTHS_S[-1])
    step = MINUTE if resolution == "minute" else HOUR
    if span / step > MAX_BUCKETS:
        fix = "Ask for a shorter period, or leave the resolution to the service."
        raise HistoryError(f"the period has more than {MAX_BUCKETS} buckets of {step} s", fix=fix)
    return step


def _sums(connection: Connection, table: Any, period: Period, keys: Sequence[int], step: int) -> list[View]:
    """Return the sums of all devices per bucket of `step` seconds; the first and last may reach out of the period."""
    stored = HOUR if step % HOUR == 0 else MINUTE
    start = table.bucket - table.bucket % step
    names = sum_names(table)
    first, last = int(period.start // step * step), period.end
    inside = and_(table.device_key.in_(keys), table.step == stored, table.bucket >= first, table.bucket < last)
    query = select(start.label("at"), *(func.sum(getattr(table, name)).label(name) for name in names)).where(inside)
    found = connection.execute(query.group_by(start).order_by(start))
    return [{name: int(value) for name, value in row.items()} for row in found.mappings()]


def _raw(connection: Connection, period: Period, keys: Sequence[int]) -> list[View] | None:
    """Return every reading as a bucket of its own; None if there are too many, or the period is too long."""
    if period.end - period.start > RAW_SPAN_S:
        return None
    verdict = (VerdictRow.status, VerdictRow.fused.label("judged"), VerdictRow.latency_ms.label("answering"))
    match = and_(VerdictRow.device_key == ReadingRow.device_key, VerdictRow.reading_id == ReadingRow.id)
    fields = [getattr(ReadingRow, name) for name in ("at", "fused", "gate", "latency_ms")]
    # Of these two it only matters whether they are there; to read them takes as long as all the rest.
    fields += [case((getattr(ReadingRow, name).is_not(None), 1)).label(name) for name in ("face", "speech")]
    query = (
        select(*fields, *verdict)
        .outerjoin(VerdictRow, match)
        .where(ReadingRow.device_key.in_(keys), ReadingRow.at >= period.start, ReadingRow.at < period.end)
        .order_by(ReadingRow.at, ReadingRow.id)
        .limit(MAX_RAW + 1)
    )
    rows = connection.execute(query).mappings().all()
    if len(rows) > MAX_RAW:
        return None
    return [{"at": row["at"]} | of_reading(row, _judgement(row)) for row in rows]


def _judgement(row: Any) -> View | None:
    if row["status"] is None:
        return None
    return {"status": row["status"], "fused": row["judged"], "latency_ms": row["answering"]}


def _perception(rows: Sequence[View]) -> View:
    counts = ("n", "perceived", "with_face", "with_voice", "sure", "asked", "answered", "refused", "compared", "agreed")
    view: View = {name: [row[name] for row in rows] for name in ("at", *counts)}
    view["confidence"] = [_mean(row["confidence"], row["perceived"], MILLION) for row in rows]
    view["latency_ms"] = [_mean(row["latency"], row["n"], 1000) for row in rows]
    view["answer_ms"] = [_mean(row["answering"], row["answered"], 1000) for row in rows]
    view["emotions"] = {name: [_mean(row[name], row["perceived"], MILLION) for row in rows] for name in EMOTIONS}
    return view


def _crowd(rows: Sequence[View]) -> View:
    view: View = {name: [row[name] for row in rows] for name in ("at", "n", "suppressed", "windows")}
    for name in ("faces", "voiced"):
        view[name] = [_mean(row[name], row["n"]) for row in rows]
    view["emotions"] = {name: [_mean(row[name], row["n"]) for row in rows] for name in EMOTIONS}
    return view


def _total(view: Any, table: Any, rows: Sequence[View]) -> View:
    """Return all rows as one bucket, without its time."""
    total = {name: sum(row[name] for row in rows) for name in sum_names(table)} | {"at": 0}
    columns = view([total])
    emotions = {name: values[0] for name, values in columns.pop("emotions").items()}
    return {name: values[0] for name, values in columns.items() if name != "at"} | {"emotions": emotions}


def _mean(total: int, count: int, unit: int = 1) -> float | None:
    return round(total / count / unit, 6) if count else None
