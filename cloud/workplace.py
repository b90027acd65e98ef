"""The worker's place at the broker: its connection, its subscription, its heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt
from ulid import ULID

from cloud.counters import Counters
from cloud.heartbeat import Heartbeat
from cloud.inference import Engine
from cloud.ingest import Ingest
from cloud.link import AckingClient, BrokerAddress, keep_connected
from cloud.offload import Worker, verdict_arrival
from edge.protocol import PREFIX, Verdict, encode, topic

log = logging.getLogger(__name__)

EVIDENCE = f"{PREFIX}/+/+/evidence"
GROUP = "$share/mien-workers/"
"""Brokers that can, hand each request to one worker of the group. amqtt cannot: see cloud/broker.py."""


class Workplace:
    """Connects one worker to the broker and keeps the sites informed that it is there."""

    def __init__(
        self,
        address: BrokerAddress,
        engine: Engine,
        counters: Counters,
        ingest: Ingest,
        *,
        heartbeat: Heartbeat,
        session: int,
    ) -> None:
        self._address = address
        self._ingest = ingest
        self._client: AckingClient | None = None
        self._subscribed = asyncio.Event()
        self._identifier = f"mien-worker-{ULID()}"
        self.worker = Worker(engine, counters, session=session, answer=self._answer)
        self._heartbeat = heartbeat

    @property
    def connected(self) -> bool:
        """Whether the worker hears the broker now."""
        return self._client is not None

    @asynccontextmanager
    async def open(self, grace_s: float, vital: set[asyncio.Task[None]]) -> AsyncIterator[None]:
        """Work while inside; on leaving answer what is in hand within `grace_s`, say `stopped`, disconnect.

        The tasks that must not end before are put into `vital`.
        """
        judging = asyncio.create_task(self.worker.run())
        talking = asyncio.create_task(keep_connected(self._connect, self._talk, name="worker"))
        vital |= {judging, talking}
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._subscribed.wait(), grace_s)
            yield
        finally:
            with contextlib.suppress(TimeoutError, aiomqtt.MqttError):
                await asyncio.wait_for(self._take_leave(), grace_s)
            for task in (talking, judging):
                task.cancel()
            await asyncio.gather(talking, judging, return_exceptions=True)
            await self.worker.close()

    def _connect(self) -> AckingClient:
        # A clean session: evidence must not wait at the broker for a worker that is away.
        return AckingClient(self._address, self._identifier, keep_session=False)

    async def _talk(self, client: AckingClient) -> None:
        group = GROUP if self._address.shares else ""
        await client.subscribe(group + EVIDENCE, qos=1)
        self._client = client
        self._subscribed.set()
        beating = asyncio.create_task(self._heartbeat.run(self._publish))
        receiving = asyncio.create_task(self._receive(client))
        try:
            done, _ = await asyncio.wait({beating, receiving}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._client = None
            beating.cancel()
            receiving.cancel()
            await asyncio.gather(beating, receiving, return_exceptions=True)

    async def _receive(self, client: AckingClient) -> None:
        async for message in client.messages:
            client.ack(message)
            payload = message.payload if isinstance(message.payload, bytes) else b""
            await self.worker.receive(str(message.topic), payload)

    async def _publish(self, topic_text: str, payload: bytes) -> None:
        if self._client is None:
            raise aiomqtt.MqttError("the worker is not connected")
        await self._client.publish(topic_text, payload, qos=1)

    async def _answer(self, site: str, device: str, verdict: Verdict) -> None:
        """Store, then publish: a verdict that a device has heard of is in the store whatever happens next."""
        await self._ingest.submit_arrival(verdict_arrival(site, device, verdict))
        try:
            await self._publish(topic(site, device, "verdict"), encode(verdict))
        except aiomqtt.MqttError as error:
            # The device's deadline passes and its reading stands.
            log.warning("the verdict on %s could not be sent: %s", verdict.reading_id, error)

    async def _take_leave(self) -> None:
        client = self._client
        if client is None:
            return
        await client.unsubscribe((GROUP if self._address.shares else "") + EVIDENCE)
        while len(client.messages):  # noqa: ASYNC110 - what came in before the broker let go; aiomqtt has no event for it
            await asyncio.sleep(0.01)
        await self.worker.drain()
        await self._heartbeat.stop(self._publish)
