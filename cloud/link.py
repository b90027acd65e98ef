"""The cloud's own MQTT connections: address, reconnecting, and acknowledging by hand."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud.ingest import Ingest
from edge.errors import ConfigError, LinkError
from edge.protocol import PREFIX, TOPICS

log = logging.getLogger(__name__)

INGEST_ID = "mien-ingest"
"""Client id of ingest: fixed, because the broker keeps its session while it is away."""

SESSION_EXPIRY_S = 7 * 24 * 3600
MAX_PACKET = 1024 * 1024
"""Bytes. Larger messages the broker keeps to itself (MQTT 5): a huge one would break the connection of whoever it is
delivered to, for an ingest whose session is kept again and again."""

CONNECT_TIMEOUT_S = 5.0
MAX_BACKOFF_S = 10.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_NOT_STORED = ("evidence", "command", "reply")

INGEST_FILTERS = tuple(
    f"{PREFIX}/+/+/{spec.kind}{'/+' if spec.has_sub else ''}" for spec in TOPICS if spec.kind not in _NOT_STORED
)
"""Every kind that is stored, and not `#`: a persistent session on `#` would make the broker spool evidence."""

STATE_FILTERS = (f"{PREFIX}/+/+/availability",)
"""With the embedded broker, which hands everything else to ingest itself: last wills come from no client."""


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker is and how to get in."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    protocol: aiomqtt.ProtocolVersion = aiomqtt.ProtocolVersion.V5
    tls: ssl.SSLContext | None = None
    """What is trusted; None: in clear."""

    @property
    def shares(self) -> bool:
        """Whether the broker can share a subscription out among workers: MQTT 5 has it, amqtt has not."""
        return self.protocol is aiomqtt.ProtocolVersion.V5

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'' if self.tls is None else 's'}://{host}:{self.port}"


def parse_address(url: str, ca_file: Path | None = None) -> BrokerAddress:
    """Return the address in mqtt[s]://[user:password@]host[:port].

    For mqtts the system's authorities are trusted, unless `ca_file` names others. Raises ConfigError.
    """
    fix = "Write it as mqtt://[user:password@]host[:port], or mqtts:// for TLS."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"--broker {url!r}: {error}", fix=fix) from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise ConfigError(f"--broker {url!r} is no MQTT address", fix=fix)
    if ca_file is not None and parts.scheme != "mqtts":
        raise ConfigError("--broker-ca is for brokers with TLS", fix="Write --broker mqtts://..., or leave it out.")
    tls = _trust(ca_file) if parts.scheme == "mqtts" else None
    username = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return BrokerAddress(parts.hostname, port or _PORTS[parts.scheme], username, password, tls=tls)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"--broker-ca {ca_file} cannot be used: {error}", fix="Name a PEM file.") from error


class AckingClient(aiomqtt.Client):
    """A connection whose messages are acknowledged by the one who has dealt with them, not on receipt."""

    def __init__(self, address: BrokerAddress, identifier: str, *, keep_session: bool) -> None:
        is_v5 = address.protocol is aiomqtt.ProtocolVersion.V5
        properties = None
        if is_v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = MAX_PACKET
            properties.SessionExpiryInterval = SESSION_EXPIRY_S if keep_session else 0
        super().__init__(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=identifier,
            protocol=address.protocol,
            clean_session=None if is_v5 else not keep_session,
            clean_start=not keep_session if is_v5 else MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
            tls_context=address.tls,
            timeout=CONNECT_TIMEOUT_S,
            keepalive=30,
        )
        # aiomqtt has no option for it, but the paho client underneath has.
        self._client.manual_ack_set(True)
        self.pending_calls_threshold = 100

    def ack(self, message: aiomqtt.Message) -> None:
        """Acknowledge a message of QoS 1. Does nothing once the connection is gone: the broker will send it again."""
        self._client.ack(message.mid, message.qos)


async def probe(address: BrokerAddress) -> BrokerAddress:
    """Connect once and return the address with the protocol version that works: MQTT 5, else 3.1.1.

    Raises LinkError that says why the broker cannot be used.
    """
    for protocol in (aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311):
        attempt = replace(address, protocol=protocol)
        try:
            async with AckingClient(attempt, f"mien-probe-{random.getrandbits(32):08x}", keep_session=False):
                return attempt
        except MqttConnectError as error:
            if protocol is aiomqtt.ProtocolVersion.V311 or "ersion" not in str(error):
                fix = "Check user, password and the broker's access rules."
                raise LinkError(f"the broker at {address} refuses: {error}", fix=fix) from error
        except aiomqtt.MqttError as error:
            if protocol is aiomqtt.ProtocolVersion.V311 or "timed out" not in str(error):
                fix = "Start it, or leave out --broker to use the embedded one."
                raise LinkError(f"the broker at {address} cannot be reached: {error}", fix=fix) from error
    raise AssertionError("unreachable")


async def keep_connected(
    connect: Callable[[], AckingClient], use: Callable[[AckingClient], Awaitable[None]], *, name: str
) -> None:
    """Connect and `use` the connection, again and again with full jitter, until `use` returns or this is cancelled."""
    attempt = 0
    while True:
        try:
            async with connect() as client:
                attempt = 0
                await use(client)
                return
        except aiomqtt.MqttError as error:
            wait_s = random.uniform(0.2, min(MAX_BACKOFF_S, 2.0**attempt))
            attempt += 1
            log.warning("%s: no connection to the broker (%s); again in %.1f s", name, error, wait_s)
            await asyncio.sleep(wait_s)


async def feed_ingest(
    client: AckingClient, ingest: Ingest, filters: tuple[str, ...], subscribed: asyncio.Event
) -> None:
    """Subscribe, set `subscribed`, hand everything to ingest; a message is acknowledged when its future is done."""
    await client.subscribe([(text, 1) for text in filters])
    subscribed.set()
    async for message in client.messages:
        payload = message.payload if isinstance(message.payload, bytes) else b""
        done = ingest.submit(str(message.topic), payload, retained=message.retain)
        done.add_done_callback(partial(_acknowledge, client, message))


def _acknowledge(client: AckingClient, message: aiomqtt.Message, done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        client.ack(message)
