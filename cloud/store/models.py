"""The tables of devices and what they sent. Portable: SQLite and PostgreSQL. Evidence has no table: it is never stored.

A change here needs a step in cloud/store/migrations/versions; a test compares the two.

Messages are keyed by (device, id), not by id alone: a device that reuses another's id must not be able to hide it.
Distributions are JSON, as on the wire.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]
ULID_LENGTH = 26
NAME_LENGTH = 36
"""Of sites and devices."""

COUNTED = BigInteger().with_variant(Integer(), "sqlite")
"""The type of a key that counts up by itself: on SQLite only a column of type INTEGER does."""


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInteger, Json: JSON(none_as_null=True)}


class Meta(Base):
    """Facts about the database itself: the number of the service's last start."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(256))


class Device(Base):
    """One row per device ever heard of, with its last state: AWS hands no retained messages to wildcards."""

    __tablename__ = "devices"
    __table_args__ = (UniqueConstraint("site", "device"),)

    key: Mapped[int] = mapped_column(COUNTED, primary_key=True)
    site: Mapped[str] = mapped_column(String(36))
    device: Mapped[str] = mapped_column(String(36))
    availability: Mapped[str | None] = mapped_column(String(16))
    availability_at: Mapped[float | None]
    """Unix time at which the state was heard."""
    birth: Mapped[Json | None]
    health: Mapped[Json | None]
    event: Mapped[Json | None]
    first_seen: Mapped[float]
    last_seen: Mapped[float]


class Sent:
    """The columns of every stored message."""

    device_key: Mapped[int] = mapped_column(ForeignKey("devices.key"), primary_key=True)
    id: Mapped[str] = mapped_column(String(ULID_LENGTH), primary_key=True)
    session: Mapped[int]
    seq: Mapped[int]
    ts: Mapped[float]
    """As the sender says, Unix seconds."""
    clock_synced: Mapped[bool]
    mode: Mapped[str] = mapped_column(String(16))
    received_at: Mapped[float]
    at: Mapped[float]
    """Unix seconds to sort and draw by: `ts` where the sender's clock can be believed, else `received_at`."""


class ReadingRow(Sent, Base):
    """A reading, field by field."""

    __tablename__ = "readings"
    __table_args__ = (Index("readings_at", "at", "id"), Index("readings_device_at", "device_key", "at", "id"))

    clip: Mapped[str | None]
    start_s: Mapped[float]
    end_s: Mapped[float]
    faces: Mapped[int]
    face: Mapped[Json | None]
    speech: Mapped[Json | None]
    fused: Mapped[Json | None]
    face_quality: Mapped[float | None]
    voiced_share: Mapped[float | None]
    gate: Mapped[str] = mapped_column(String(16))
    threshold: Mapped[float | None]
    latency_ms: Mapped[float]


class VerdictRow(Sent, Base):
    """A verdict. Its reading may arrive later, so it is no foreign key. One per reading: the first stands."""

    __tablename__ = "verdicts"
    __table_args__ = (UniqueConstraint("device_key", "reading_id"), Index("verdicts_device_at", "device_key", "at"))

    reading_id: Mapped[str] = mapped_column(String(ULID_LENGTH))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str]
    face: Mapped[Json | None]
    speech: Mapped[Json | None]
    fused: Mapped[Json | None]
    models: Mapped[list[str]] = mapped_column(JSON)
    latency_ms: Mapped[float]


class AggregateRow(Sent, Base):
    """Counts over at least a minute, from sites whose mode forbids readings."""

    __tablename__ = "aggregates"
    __table_args__ = (Index("aggregates_device_at", "device_key", "at"),)

    start_s: Mapped[float]
    end_s: Mapped[float]
    windows: Mapped[int]
    k: Mapped[int]
    expressions: Mapped[Json | None]
    tones: Mapped[Json | None]
    faces: Mapped[int | None]
    voiced: Mapped[int | None]


class EventRow(Sent, Base):
    """Something happened on a device."""

    __tablename__ = "events"
    __table_args__ = (Index("events_at", "at", "id"), Index("events_device_at", "device_key", "at"))

    type: Mapped[str] = mapped_column(String(36))
    text: Mapped[str]
    detail: Mapped[Json]
