"""The embedded broker: amqtt inside this process, for one machine, on the loopback interface only.

Two facts about amqtt 0.12, read in its source and held by tests/integration/test_cloud_broker.py, shape this module:

- It sends PUBACK as soon as a message is in the session's `delivered_message_queue`, before anyone has seen it. So each
  session gets a queue of ours, whose `put` returns only after ingest has committed the message: PUBACK means stored.
- `$share/group/filter` is granted in SUBACK and then matched as if it were a plain filter, so nothing ever arrives.
  With the embedded broker the one worker subscribes plainly.

It speaks MQTT 3.1.1 only, keeps retained messages in memory, and keeps no queue for anonymous sessions that are away.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import ApplicationMessage, Session

from cloud.errors import ServeError
from edge.protocol import MAX_PAYLOAD

HOST = "127.0.0.1"
CLOUD_USER = "mien-cloud"
LISTENER = "default"
MAX_PACKET = MAX_PAYLOAD + 1024
"""Bytes of one MQTT packet: the largest payload, its topic and headers."""

MAX_CONNECTIONS = 256
HAND_ON_S = 0.2


class Gate(Protocol):
    """Decides on every message of a device before the broker acknowledges it and hands it on."""

    def admit(self, topic: str, payload: bytes) -> Awaitable[bool]:
        """Take a message that is to be acknowledged; True: hand it on to its subscribers."""

    def admit_unpromised(self, topic: str, payload: bytes) -> bool:
        """Take a QoS 0 message; True: hand it on."""


class _GatedQueue(asyncio.Queue[ApplicationMessage]):
    """The way of a session's messages from its socket to the broker, through the gate."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    async def put(self, item: ApplicationMessage) -> None:
        """Called for QoS 1 and 2; the acknowledgement is sent when this returns."""
        if await self._gate.admit(item.topic, bytes(item.data)):
            super().put_nowait(item)

    def put_nowait(self, item: ApplicationMessage) -> None:
        """Called for QoS 0."""
        if self._gate.admit_unpromised(item.topic, bytes(item.data)):
            super().put_nowait(item)


class SessionPlugin(BaseAuthPlugin):  # type: ignore[misc]
    """Puts the gate into every session but the cloud's own, which proves itself by a secret."""

    @dataclass
    class Config:
        """What the embedded broker hands over."""

        gate: Any
        secret: str

    async def authenticate(self, *, session: Session) -> bool:
        """Return False only for someone who pretends to be the cloud."""
        if session.username == CLOUD_USER:
            return hmac.compare_digest(str(session.password).encode(), self.config.secret.encode())
        if not isinstance(session.delivered_message_queue, _GatedQueue):
            session.delivered_message_queue = _GatedQueue(self.config.gate)
        session.is_anonymous = True
        return True


class _BoundedReader(StreamReaderAdapter):  # type: ignore[misc]
    """Ends the connection instead of reading a packet that is larger than any message of ours."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._ended = False

    async def read(self, n: int = -1) -> bytes:
        if self._ended or n > MAX_PACKET:
            self._ended = True
            return b""
        return bytes(await super().read(n))


class _Broker(Broker):  # type: ignore[misc]
    """amqtt's broker without its gift of everyone's retained messages to everyone who connects."""

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Called on connect with every subscription there is, whoever made it, and after a SUBSCRIBE with its own."""
        if any(
            subscriber.client_id == session.client_id for subscriber, _ in self.subscriptions.get(subscription[0], ())
        ):
            await super()._publish_retained_messages_for_subscription(subscription, session)


class EmbeddedBroker:
    """An MQTT 3.1.1 broker on 127.0.0.1.

    broker = EmbeddedBroker(gate)
    await broker.start(port=0)
    ... broker.port, broker.secret ...
    await broker.stop()
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._server: asyncio.Server | None = None
        self._connections = 0
        self.secret = secrets.token_urlsafe(24)
        """Password of CLOUD_USER in this process."""
        self.port = 0

    async def start(self, port: int = 0) -> None:
        """Listen on `port` (0: a free one). Raises ServeError if it is taken."""
        # Clients' mistakes show at the clients; amqtt logs each of them, some with a traceback.
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.WARNING)
        plugins = {f"{__name__}.SessionPlugin": {"gate": self._gate, "secret": self.secret}}
        listeners = {LISTENER: ListenerConfig(type=ListenerType.EXTERNAL)}
        self._broker = _Broker(BrokerConfig(listeners=listeners, plugins=plugins))
        await self._broker.start()
        try:
            # Our own listener instead of amqtt's: it finds a free port, and it bounds packets.
            self._server = await asyncio.start_server(self._connected, HOST, port)
        except OSError as error:
            await self._broker.shutdown()
            fix = "Choose another with --broker-port, or 0 for a free one."
            raise ServeError(f"the broker cannot listen on {HOST}:{port}: {error.strerror}", fix=fix) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and all sessions."""
        if self._server is not None:
            self._server.close()
            # amqtt's shutdown throws away what it has acknowledged but not yet handed on: the last verdicts, `stopped`.
            await asyncio.sleep(HAND_ON_S)
            await self._broker.shutdown()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            await self._broker.external_connected(_BoundedReader(reader), StreamWriterAdapter(writer), LISTENER)
        finally:
            self._connections -= 1
            writer.close()
