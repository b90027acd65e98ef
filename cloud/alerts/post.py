"""The post of alerts: what is to be told stands in the store until it is told, tried again and again with patience."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import aiomqtt
import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from cloud.alerts.senders import Mail, Notice, Undelivered, send_sns, send_webhook
from cloud.counters import Counters
from cloud.store.alerts import AlertRow, ChannelRow, DeliveryRow
from cloud.store.models import Device
from edge.protocol import CLOUD, PREFIX

log = logging.getLogger(__name__)

Publish = Callable[[str, bytes], Awaitable[None]]
RETRY_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 4 * 3600.0)
"""Seconds to wait after each failure; after the last the delivery is given up."""

AT_ONCE = 16


class Post:
    """Delivers what is due. `mail` None: there is no mail server; `publish` raises MqttError while not connected."""

    def __init__(
        self,
        engine: Engine,
        counters: Counters,
        publish: Publish,
        mail: Mail | None,
        *,
        retry_s: tuple[float, ...] = RETRY_S,
    ) -> None:
        self._engine = engine
        self._counters = counters
        self._publish = publish
        self._mail = mail
        self._retry_s = retry_s

    async def round(self) -> int:
        """Try everything that is due, several at once; return how much that was."""
        due = await asyncio.to_thread(self._due, time.time())
        await asyncio.gather(*(self._deliver(*one) for one in due))
        return len(due)

    def _due(self, now: float) -> list[tuple[Notice, str | None, str, str]]:
        query = (
            select(DeliveryRow, AlertRow, Device.site, Device.device, ChannelRow)
            .join(AlertRow, AlertRow.key == DeliveryRow.alert_key)
            .join(Device, Device.key == AlertRow.device_key)
            .outerjoin(ChannelRow, ChannelRow.key == DeliveryRow.channel_key)
            .where(DeliveryRow.done_at.is_(None), DeliveryRow.next_at <= now)
            .order_by(DeliveryRow.next_at, DeliveryRow.key)
            .limit(AT_ONCE)
        )
        with Session(self._engine) as session:
            return [
                (_notice(delivery, alert, site, device), *_where(channel))
                for delivery, alert, site, device, channel in session.execute(query)
            ]

    async def _deliver(self, notice: Notice, kind: str | None, target: str, secret: str) -> None:
        failure: Undelivered | None = None
        try:
            await self._send(notice, kind, target, secret)
        except Undelivered as error:
            failure = error
        await asyncio.to_thread(self._note, notice.delivery, failure, kind or "mqtt", time.time())

    async def _send(self, notice: Notice, kind: str | None, target: str, secret: str) -> None:
        if kind is None:
            try:
                await self._publish(alert_topic(notice.site), msgspec.json.encode(notice))
            except aiomqtt.MqttError as error:
                raise Undelivered(str(error)) from error
        elif kind == "webhook":
            await asyncio.to_thread(send_webhook, notice, target, secret)
        elif kind == "sns":
            await asyncio.to_thread(send_sns, notice, target)
        elif self._mail is None:
            raise Undelivered("the service was started without --smtp")
        else:
            await asyncio.to_thread(self._mail.send, notice, target)

    def _note(self, key: int, failure: Undelivered | None, kind: str, now: float) -> None:
        with Session(self._engine) as session, session.begin():
            delivery = session.get(DeliveryRow, key)
            if delivery is None:
                return  # erased meanwhile
            delivery.attempts += 1
            delivery.error = None if failure is None else str(failure)[:300]
            if failure is None:
                delivery.done_at = now
                self._counters.add(f"alerts.told.{kind}")
                return
            self._counters.warn(f"alerts.failed.{kind}", str(failure))
            if not failure.again or delivery.attempts > len(self._retry_s):
                delivery.done_at = now
                self._counters.warn(f"alerts.given-up.{kind}", str(failure))
                return
            delivery.next_at = now + self._retry_s[delivery.attempts - 1]


def alert_topic(site: str) -> str:
    """Return the topic of a site's alerts."""
    return f"{PREFIX}/{site}/{CLOUD}/alert"


def _notice(delivery: DeliveryRow, alert: AlertRow, site: str, device: str) -> Notice:
    return Notice(
        delivery=delivery.key,
        event=delivery.event,
        alert=alert.key,
        site=site,
        device=device,
        rule=alert.rule,
        kind=alert.kind,
        text=alert.text,
        since=alert.since,
        raised_at=alert.raised_at,
        acknowledged_at=alert.acknowledged_at,
        cleared_at=alert.cleared_at,
    )


def _where(channel: ChannelRow | None) -> tuple[str | None, str, str]:
    return (None, "", "") if channel is None else (channel.kind, channel.target, channel.secret)
