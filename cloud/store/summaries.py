"""The tables of history: sums per minute and hour, health over time, how long things are kept, what was erased.

Sums are whole numbers (probabilities in millionths, times in microseconds): so they do not depend on the order in which
messages came, and taking something away gives exactly what was there before it.
"""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.store.models import COUNTED, NAME_LENGTH, Base, Json, Sent

MILLION = 1_000_000
"""What a probability of 1 counts, and the microseconds in a second."""

MINUTE_S, HOUR_S = 60, 3600
STEPS = (MINUTE_S, HOUR_S)
"""Seconds of the stored buckets. They begin at multiples of their length in Unix time."""


CLUSTERED = {"sqlite_with_rowid": False}
"""Rows lie in the order of their key: a device's weeks are read in one go."""


class Bucket:
    """The key of every stored bucket."""

    device_key: Mapped[int] = mapped_column(ForeignKey("devices.key"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True)
    """Its beginning, Unix seconds."""


class RollupRow(Bucket, Base):
    """Sums over the readings of a bucket, each with the verdict on it."""

    __tablename__ = "rollups"
    __table_args__ = CLUSTERED

    n: Mapped[int]
    perceived: Mapped[int]
    """Readings with a face or a voice: those that have a final distribution."""
    with_face: Mapped[int]
    with_voice: Mapped[int]
    sure: Mapped[int]
    """Kept on the device."""
    asked: Mapped[int]
    """Readings about which the cloud was asked."""
    answered: Mapped[int]
    refused: Mapped[int]
    compared: Mapped[int]
    """Answered readings in which the device had perceived something itself."""
    agreed: Mapped[int]
    """Of these, those to which the cloud gave the device's own label."""
    confidence: Mapped[int]
    """Millionths, of the final distribution."""
    latency: Mapped[int]
    """Microseconds from the end of the window to the reading."""
    answering: Mapped[int]
    """Microseconds from the arrival of the evidence to the verdict, of those that were answered."""
    angry: Mapped[int]
    """Millionths, of the final distribution; so are the next six."""
    disgust: Mapped[int]
    fear: Mapped[int]
    happy: Mapped[int]
    sad: Mapped[int]
    surprise: Mapped[int]
    neutral: Mapped[int]


class CrowdRow(Bucket, Base):
    """Sums over the aggregates of a bucket: counts of faces and of windows, as the device published them."""

    __tablename__ = "crowd_rollups"
    __table_args__ = CLUSTERED

    n: Mapped[int]
    """Aggregates."""
    suppressed: Mapped[int]
    """Of these, those that said nothing: too few faces."""
    windows: Mapped[int]
    faces: Mapped[int]
    voiced: Mapped[int]
    angry: Mapped[int]
    """Faces at a time that showed it; so are the next six."""
    disgust: Mapped[int]
    fear: Mapped[int]
    happy: Mapped[int]
    sad: Mapped[int]
    surprise: Mapped[int]
    neutral: Mapped[int]


class HealthRow(Sent, Base):
    """A health report."""

    __tablename__ = "health"
    __table_args__ = (Index("health_device_at", "device_key", "at"),)

    uptime_s: Mapped[float]
    sources: Mapped[Json]
    down: Mapped[int]
    """Sources that were down."""
    degraded: Mapped[int]
    outbox_rows: Mapped[int]
    outbox_dropped: Mapped[int]
    memory_mb: Mapped[float]
    temperature_c: Mapped[float | None]
    throttled: Mapped[bool | None]
    reading_p50_ms: Mapped[float | None]
    reading_p95_ms: Mapped[float | None]
    verdict_p50_ms: Mapped[float | None]
    """From the device's request to the answer; so is the next."""
    verdict_p95_ms: Mapped[float | None]


class RetentionRow(Base):
    """For how many days a site keeps what; sites without a row keep it for the defaults (cloud.store.retention)."""

    __tablename__ = "retention"

    site: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    readings_days: Mapped[int]
    minutes_days: Mapped[int]
    hours_days: Mapped[int]
    events_days: Mapped[int]


class ErasureRow(Base):
    """What was erased, so that a device's late messages do not bring it back."""

    __tablename__ = "erasures"
    __table_args__ = (Index("erasures_site", "site"),)

    key: Mapped[int] = mapped_column(COUNTED, primary_key=True)
    site: Mapped[str] = mapped_column(String(NAME_LENGTH))
    device: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    """None: every device of the site."""
    start: Mapped[float]
    end: Mapped[float]
    """Unix seconds; what lies in [start, end) is erased."""
    at: Mapped[float]
    actor: Mapped[str] = mapped_column(String(100))
    done: Mapped[bool]
    """False while rows may be left: the service goes on with it when it starts."""
