"""Commands: the cloud asks one device for something and waits for its reply, on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import aiomqtt
from ulid import ULID

from cloud.arrivals import Refused, read_topic
from cloud.counters import Counters
from cloud.link import AckingClient, BrokerAddress, keep_connected
from edge.errors import ProtocolError
from edge.protocol import PREFIX, Command, Reply, decode, encode, topic

REPLIES = f"{PREFIX}/+/+/reply/+"

Verb = Literal["rebirth", "selftest", "mute"]
"""What `edge.daemon` carries out, of the verbs that the protocol has."""


@dataclass(frozen=True)
class _Asked:
    """A command that waits for its reply."""

    site: str
    device: str
    reply: asyncio.Future[Reply]


class Commands:
    """Asks devices. Belongs to the event loop.

    commands = Commands(address, counters, session=database.starts)
    async with commands.open(grace_s, vital):
        reply = await commands.ask("school-1", "front-door", "rebirth", within_s=10.0)
    """

    def __init__(self, address: BrokerAddress, counters: Counters, *, session: int) -> None:
        self._address, self._counters, self._session = address, counters, session
        self._client: AckingClient | None = None
        self._subscribed = asyncio.Event()
        self._asked: dict[str, _Asked] = {}
        self._seq = 0

    @asynccontextmanager
    async def open(self, grace_s: float, vital: set[asyncio.Task[None]]) -> AsyncIterator[None]:
        """Hear replies while inside; waits at most `grace_s` for the broker. Its task is put into `vital`."""
        talking = asyncio.create_task(keep_connected(self._connect, self._talk, name="commands"))
        vital.add(talking)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._subscribed.wait(), grace_s)
            yield
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)

    async def ask(self, site: str, device: str, verb: Verb, *, within_s: float) -> Reply:
        """Send a command and return the device's reply to it.

        Raises TimeoutError if there is none within `within_s` seconds, MqttError if the broker cannot be reached.
        """
        if self._client is None:
            raise aiomqtt.MqttError("not connected to the broker")
        command = self._command(verb, within_s)
        asked = _Asked(site, device, asyncio.get_running_loop().create_future())
        self._asked[command.id] = asked
        try:
            async with asyncio.timeout(within_s):
                await self._client.publish(topic(site, device, "command", verb), encode(command), qos=1)
                return await asked.reply
        finally:
            del self._asked[command.id]

    def _command(self, verb: Verb, within_s: float) -> Command:
        seq, self._seq = self._seq, self._seq + 1
        return Command(
            id=str(ULID()),
            session=self._session,
            seq=seq,
            ts=time.time(),
            clock_synced=True,
            mode="off",  # the cloud has no privacy mode, and no device reads one here
            verb=verb,
            ttl_ms=max(1, round(within_s * 1000.0)),
        )

    def _connect(self) -> AckingClient:
        # A clean session: a reply that nobody waits for any more is of no use.
        return AckingClient(self._address, f"mien-commands-{ULID()}", keep_session=False)

    async def _talk(self, client: AckingClient) -> None:
        await client.subscribe(REPLIES, qos=1)
        self._client = client
        self._subscribed.set()
        try:
            async for message in client.messages:
                client.ack(message)
                self._take(str(message.topic), message.payload if isinstance(message.payload, bytes) else b"")
        finally:
            self._client = None

    def _take(self, text: str, payload: bytes) -> None:
        """Hand a reply to who waits for it; one that comes too late, or to another service's command, to nobody."""
        try:
            where = read_topic(text, len(payload))
            reply = decode(Reply, payload)
        except (Refused, ProtocolError) as error:
            self._counters.warn("commands.unreadable", f"{text}: {error}")
            return
        asked = self._asked.get(reply.command_id)
        # Another device, which has read the command, must not answer in this one's place.
        if asked is not None and (where.site, where.device) == (asked.site, asked.device) and not asked.reply.done():
            asked.reply.set_result(reply)
