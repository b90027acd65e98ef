"""What the API asks of the store, as plain dictionaries ready for JSON."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, and_, select, tuple_
from sqlalchemy.orm import Session

from cloud.store.models import Base, Device, ReadingRow, VerdictRow

View = dict[str, Any]
Sites = frozenset[str] | None
"""The sites that may be seen; None: all."""


def _columns(table: type[Base], *hidden: str) -> list[str]:
    return [name for name in table.__table__.columns.keys() if name not in hidden]  # noqa: SIM118 - no dictionary


READING_FIELDS = _columns(ReadingRow, "device_key")
VERDICT_FIELDS = _columns(VerdictRow, "device_key", "reading_id")
DEVICE_FIELDS = _columns(Device, "key")


def known_sites(engine: Engine) -> list[str]:
    """Return the names of all sites that ever had a device."""
    with Session(engine) as session:
        return list(session.scalars(select(Device.site).distinct().order_by(Device.site)))


def devices(engine: Engine, *, sites: Sites = None) -> list[View]:
    """Return the devices of `sites` with their last states, by site and name."""
    query = select(Device).order_by(Device.site, Device.device)
    if sites is not None:
        query = query.where(Device.site.in_(sites))
    with Session(engine) as session:
        rows = session.scalars(query)
        return [_pick(row, DEVICE_FIELDS) for row in rows]


def readings(
    engine: Engine,
    *,
    sites: Sites = None,
    site: str | None = None,
    device: str | None = None,
    limit: int = 100,
    before: str | None = None,
) -> list[View]:
    """Return at most `limit` readings of `sites`, newest first, each with its `verdict` (or None) and `final`.

    `final` is the distribution that stands: the verdict's if there is one.

    `before` is the id of a reading: only older ones are returned; none if there is no such reading.
    """
    with_verdict = and_(VerdictRow.device_key == ReadingRow.device_key, VerdictRow.reading_id == ReadingRow.id)
    query = (
        select(ReadingRow, VerdictRow, Device.site, Device.device)
        .join(Device, Device.key == ReadingRow.device_key)
        .outerjoin(VerdictRow, with_verdict)
        .order_by(ReadingRow.at.desc(), ReadingRow.id.desc())
        .limit(limit)
    )
    if sites is not None:
        query = query.where(Device.site.in_(sites))
    if site is not None:
        query = query.where(Device.site == site)
    if device is not None:
        query = query.where(Device.device == device)
    with Session(engine) as session:
        if before is not None:
            mark = session.execute(select(ReadingRow.at, ReadingRow.id).where(ReadingRow.id == before)).first()
            if mark is None:
                return []
            query = query.where(tuple_(ReadingRow.at, ReadingRow.id) < tuple_(*mark))
        return [_reading_view(*row) for row in session.execute(query)]


def _reading_view(reading: ReadingRow, verdict: VerdictRow | None, site: str, device: str) -> View:
    view: View = {"site": site, "device": device} | _pick(reading, READING_FIELDS)
    answered = verdict is not None and verdict.status == "ok" and verdict.fused is not None
    view["verdict"] = None if verdict is None else _pick(verdict, VERDICT_FIELDS)
    view["final"] = verdict.fused if verdict is not None and answered else reading.fused
    return view


def _pick(row: object, names: list[str]) -> View:
    return {name: getattr(row, name) for name in names}
