"""Looking after the rules: what was stored is judged, alerts are raised, told and cleared in the store."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from cloud.alerts.rules import (
    HEALTH_GAP_S,
    READING_GAP_S,
    AlertState,
    Holding,
    Rule,
    Step,
    decide,
    describe,
    expression_samples,
    health_samples,
    lost,
    running,
)
from cloud.arrivals import Arrival
from cloud.store.alerts import AlertRow, ChannelRow, DeliveryRow, RuleRow
from cloud.store.models import Device
from cloud.store.queries import readings
from cloud.store.summaries import HealthRow
from edge.protocol import Health, Reading, Verdict

READINGS_PER_S = 0.5
"""More than devices send, so that a rule's whole duration is looked at."""

MOST_READINGS = 2_000
HELD_EVERY_S = 5.0
"""An alert that goes on is written down no more often."""

_FIRST = "raised"


@dataclass(frozen=True)
class _Found:
    """One rule at one device, and what to do about it."""

    rule_key: int
    rule: Rule
    device: Device
    alert: AlertRow | None
    holding: Holding | None
    steps: list[Step]


class AlertWatch:
    """Judges the rules of all sites.

        watch = AlertWatch(engine)
        watch.notice(arrival)          # in the event loop, of everything that was stored
        told = watch.round(now)        # in a thread, every second

    Only devices from which something came, and those with an open alert, are looked at; lost ones always.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._heard: set[tuple[str, str]] = set()

    def notice(self, arrival: Arrival) -> None:
        """Learn that something was stored that a rule may be about."""
        if isinstance(arrival.message, Reading | Verdict | Health):
            self._heard.add((arrival.site, arrival.device))

    def round(self, now: float) -> int:
        """Judge what has changed; return how many deliveries were made for the post. Raises SQLAlchemyError."""
        heard, self._heard = self._heard, set()
        with Session(self._engine, expire_on_commit=False) as session:
            rules: dict[str, list[tuple[int, Rule]]] = defaultdict(list)
            for row in session.scalars(select(RuleRow).where(RuleRow.enabled)):
                rules[row.site].append((row.key, rule_of(row.spec)))
            open_alerts = {
                (alert.rule_key, alert.device_key): alert
                for alert in session.scalars(select(AlertRow).where(AlertRow.cleared_at.is_(None)))
            }
            if not rules and not open_alerts:
                return 0
            devices = session.scalars(select(Device).where(Device.site.in_(rules))).all()
            found = [
                self._judge(session, key, rule, device, open_alerts.get((key, device.key)), now)
                for device in devices
                for key, rule in rules[device.site]
                if rule.device in (None, device.device)
                and (rule.kind == "lost" or (device.site, device.device) in heard or (key, device.key) in open_alerts)
            ]
            for alert in self._without_rule(open_alerts.values(), found):
                alert.cleared_at = now
            channels = defaultdict(list)
            for channel in session.scalars(select(ChannelRow)):
                channels[channel.site].append(channel.key)
            deliveries = sum(_apply(session, one, now, [None, *channels[one.device.site]]) for one in found)
            session.commit()
            return deliveries

    def _judge(
        self, session: Session, key: int, rule: Rule, device: Device, alert: AlertRow | None, now: float
    ) -> _Found:
        holding = self._holding(session, rule, device, now)
        if alert is None and holding is not None:
            of_both = (AlertRow.rule_key == key, AlertRow.device_key == device.key)
            alert = session.scalars(select(AlertRow).where(*of_both).order_by(AlertRow.raised_at.desc())).first()
        state = None if alert is None else _state(alert)
        at = dt.datetime.fromtimestamp(now, ZoneInfo(rule.zone))
        steps = decide(rule, state, holding, now=now, minute=at.hour * 60 + at.minute)
        return _Found(key, rule, device, alert, holding, steps)

    def _holding(self, session: Session, rule: Rule, device: Device, now: float) -> Holding | None:
        if rule.kind == "lost":
            view = {name: getattr(device, name) for name in ("availability", "availability_at", "last_seen")}
            return lost(rule, view, now=now)
        if rule.kind == "expression":
            count = min(MOST_READINGS, int(rule.duration_s * READINGS_PER_S) + 20)
            last = readings(self._engine, site=device.site, device=device.device, limit=count)
            samples = expression_samples(rule, last)
            return running(samples, duration_s=rule.duration_s, gap_s=READING_GAP_S, now=now)
        since = now - rule.duration_s - 2 * HEALTH_GAP_S
        recent = (HealthRow.device_key == device.key, HealthRow.at >= since)
        columns = (HealthRow.at, HealthRow.session, HealthRow.temperature_c, HealthRow.down, HealthRow.outbox_dropped)
        reports = session.execute(select(*columns).where(*recent).order_by(HealthRow.at)).mappings().all()
        samples = health_samples(rule, [dict(report) for report in reports])
        return running(samples, duration_s=rule.duration_s, gap_s=HEALTH_GAP_S, now=now)

    @staticmethod
    def _without_rule(alerts: Iterable[AlertRow], found: Iterable[_Found]) -> list[AlertRow]:
        """Return the open alerts whose rule is gone, switched off or about another device now."""
        judged = {(one.rule_key, one.device.key) for one in found}
        return [alert for alert in alerts if (alert.rule_key, alert.device_key) not in judged]


def rule_of(spec: dict[str, Any]) -> Rule:
    """Return the rule in a stored row."""
    return Rule(**spec | {"emotions": tuple(spec["emotions"])})


def _state(alert: AlertRow) -> AlertState:
    return AlertState(
        last_held_at=alert.last_held_at,
        notified_at=alert.notified_at,
        acknowledged=alert.acknowledged_at is not None,
        cleared_at=alert.cleared_at,
    )


def _apply(session: Session, found: _Found, now: float, channels: list[int | None]) -> int:
    """Write down what was decided; return how many deliveries it made."""
    alert, holding, made = found.alert, found.holding, 0
    for step in found.steps:
        if step is Step.RAISE:
            assert holding is not None
            alert = AlertRow(
                device_key=found.device.key,
                rule_key=found.rule_key,
                rule=found.rule.name,
                kind=found.rule.kind,
                text=describe(found.rule, holding.value),
                since=holding.since,
                raised_at=now,
                last_held_at=now,
            )
            session.add(alert)
            session.flush()
        assert alert is not None
        if step is Step.REOPEN:
            alert.cleared_at, alert.last_held_at = None, now
        elif step is Step.HOLD and now - alert.last_held_at >= HELD_EVERY_S:
            alert.last_held_at = now
        elif step is Step.CLEAR:
            alert.cleared_at = now
        elif step in (Step.TELL, Step.TELL_CLEARED):
            again = _FIRST if alert.notified_at is None else "repeated"
            tell(session, alert.key, "cleared" if step is Step.TELL_CLEARED else again, now, channels)
            alert.notified_at = now if step is Step.TELL else alert.notified_at
            made += len(channels)
    return made


def tell(session: Session, alert_key: int, event: str, now: float, channels: list[int | None]) -> None:
    """Put a delivery for every channel (None: MQTT) into the post."""
    for channel in channels:
        session.add(
            DeliveryRow(alert_key=alert_key, channel_key=channel, event=event, made_at=now, next_at=now, attempts=0)
        )
