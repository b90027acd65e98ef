"""The tables of alerts: rules, what they found, whom to tell, and what is still to be told."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.store.models import COUNTED, NAME_LENGTH, Base, Json


class RuleRow(Base):
    """A rule of a site."""

    __tablename__ = "alert_rules"

    key: Mapped[int] = mapped_column(COUNTED, primary_key=True)
    site: Mapped[str] = mapped_column(String(NAME_LENGTH), index=True)
    enabled: Mapped[bool]
    spec: Mapped[Json]
    """The fields of cloud.alerts.rules.Rule."""


class AlertRow(Base):
    """Something that a rule found at a device. Its text outlives the rule."""

    __tablename__ = "alerts"
    __table_args__ = (Index("alerts_rule", "rule_key", "device_key", "raised_at"), Index("alerts_at", "raised_at"))

    key: Mapped[int] = mapped_column(COUNTED, primary_key=True)
    device_key: Mapped[int] = mapped_column(ForeignKey("devices.key"), index=True)
    rule_key: Mapped[int]
    """No foreign key: rules go, alerts stay."""
    rule: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(String(300))
    since: Mapped[float]
    """Unix seconds from which on the rule held; so are all times here."""
    raised_at: Mapped[float]
    last_held_at: Mapped[float]
    notified_at: Mapped[float | None]
    acknowledged_at: Mapped[float | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(100))
    cleared_at: Mapped[float | None]


class ChannelRow(Base):
    """Somebody to be told of a site's alerts."""

    __tablename__ = "alert_channels"

    key: Mapped[int] = mapped_column(COUNTED, primary_key=True)
    site: Mapped[str] = mapped_column(String(NAME_LENGTH), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    """`webhook`, `mail` or `sns`."""
    target: Mapped[str] = mapped_column(String(500))
    """A URL, an e-mail address, or the ARN of a topic."""
    secret: Mapped[str] = mapped_column(String(64))
    """With which webhooks are signed; has to stand here as it is."""


class DeliveryRow(Base):
    """One thing to be told to one place: kept until it is, so that a restart loses none."""

    __tablename__ = "alert_deliveries"
    __table_args__ = (Index("alert_deliveries_due", "done_at", "next_at"),)

    key: Mapped[int] = mapped_column(COUNTED, primary_key=True)
    alert_key: Mapped[int] = mapped_column(ForeignKey("alerts.key", ondelete="CASCADE"), index=True)
    channel_key: Mapped[int | None] = mapped_column(ForeignKey("alert_channels.key", ondelete="CASCADE"), index=True)
    """None: MQTT."""
    event: Mapped[str] = mapped_column(String(16))
    """`raised`, `repeated`, `acknowledged` or `cleared`."""
    made_at: Mapped[float]
    next_at: Mapped[float]
    attempts: Mapped[int]
    done_at: Mapped[float | None]
    """Told, or given up."""
    error: Mapped[str | None] = mapped_column(String(300))
