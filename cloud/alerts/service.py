"""Alerts within the service: one task that judges, one that delivers, one connection to the broker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID

from cloud.alerts.post import Post
from cloud.alerts.senders import Mail
from cloud.alerts.watch import AlertWatch
from cloud.counters import Counters
from cloud.leaving import end_within
from cloud.link import AckingClient, BrokerAddress, keep_connected

log = logging.getLogger(__name__)

EVERY_S = 1.0


class _Line:
    """The connection on which alerts are published."""

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address
        self._client: AckingClient | None = None

    def connect(self) -> AckingClient:
        return AckingClient(self._address, f"mien-alerts-{ULID()}", keep_session=False)

    async def use(self, client: AckingClient) -> None:
        self._client = client
        try:
            async for _ in client.messages:  # none comes, but a broken connection raises here
                pass
        finally:
            self._client = None

    async def publish(self, topic: str, payload: bytes) -> None:
        if self._client is None:
            raise aiomqtt.MqttError("not connected to the broker")
        await self._client.publish(topic, payload, qos=1)


@asynccontextmanager
async def alerting(
    engine: Engine,
    watch: AlertWatch,
    address: BrokerAddress,
    counters: Counters,
    mail: Mail | None,
    vital: set[asyncio.Task[None]],
) -> AsyncIterator[None]:
    """Judge and deliver while inside. What is not delivered on leaving is when the service starts again."""
    line = _Line(address)
    post = Post(engine, counters, line.publish, mail)
    stop = asyncio.Event()

    async def judge() -> None:
        await asyncio.to_thread(watch.round, time.time())

    async def deliver() -> None:
        while await post.round() and not stop.is_set():
            pass

    ways = (_again_and_again(judge, stop), _again_and_again(deliver, stop))
    tasks = [asyncio.create_task(way) for way in ways]
    talking = asyncio.create_task(keep_connected(line.connect, line.use, name="alerts"))
    vital |= {*tasks, talking}
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*(end_within(task, "telling of alerts") for task in tasks))
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


async def _again_and_again(act: object, stop: asyncio.Event) -> None:
    assert callable(act)
    while not stop.is_set():
        try:
            await act()
        except SQLAlchemyError as error:
            log.warning("alerts: the store does not work now, again in %.0f s: %s", EVERY_S, error)
        try:
            await asyncio.wait_for(stop.wait(), EVERY_S)
        except TimeoutError:
            continue
