"""One connection to the broker, from CONNECT to its end: paho's client behind the few calls that we need."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.link.broker import Version

log = logging.getLogger(__name__)

SESSION_TAKEN_OVER = 142
UNSUPPORTED_VERSION = 132
BROKER_LEAVES = (137, 139)
"""Server busy, server shutting down: no sign that anybody else wants our name."""
REFUSED = 128
"""Reason codes from here on mean that the broker has not done what it was asked."""

QUOTA_EXCEEDED = 151
"""The broker cannot take the message now, which is no reason to forget it."""

WINDOW = 20
"""Unacknowledged packets at once, unless the broker allows fewer (Receive Maximum). paho has the same limit."""
REACH_S = 10.0
"""For TCP and TLS to be set up, and for the answer to CONNECT at most."""
LIVENESS_S = 1.0
TCP_CLOSE_WAIT = 8
"""Linux, net/tcp_states.h: the far end has closed the connection in good order, we have not yet."""
CLOSE_S = 1.0

Kind = Literal["absent", "refused", "wrong version", "silence", "closed", "lost", "taken over", "stopped"]


class Ending(NamedTuple):
    """How a connection, or the attempt at one, ended."""

    kind: Kind
    text: str


class Will(NamedTuple):
    """What the broker publishes, retained and with QoS 1, when we vanish."""

    topic: str
    payload: bytes


class Handlers(NamedTuple):
    """Who is told what comes in. Called from paho's network thread: they must be quick and must not raise."""

    message: Callable[[str, bytes], None]
    """Topic and payload."""
    acknowledged: Callable[[int, int], None]
    """Packet number and reason code; from 128 on the broker has refused the message."""
    denied: Callable[[str, int], None]
    """Topic filter that may not be subscribed to, and reason code."""


@dataclass(frozen=True)
class Packet:
    """One message to publish."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    content_type: str = "application/json"
    expires_s: int | None = None
    """Seconds after which the broker forgets it, where the broker speaks MQTT 5."""
    response_topic: str | None = None
    correlation: bytes | None = None


class Connection:
    """One connection. `open`, then the other calls from any thread, `close` in any case."""

    def __init__(self, client: Client, *, version: Version, will: Will, handlers: Handlers) -> None:
        self._client, self.version, self._handlers = client, version, handlers
        self._answered = threading.Event()
        self._gone = threading.Event()
        self._ending: Ending | None = None
        self._closed = False
        self._hung_up = False
        self._network: threading.Thread | None = None
        self._filters: dict[int, Sequence[str]] = {}
        self.window = WINDOW
        """Packets that may be unacknowledged at once. paho does not look at what the broker allows: we must."""
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_socket_close = self._on_socket_close

    def open(self, host: str, port: int, *, keepalive_s: int) -> Ending | None:
        """Connect and wait for the broker's word; None means accepted. Raises OSError if nobody can be reached."""
        began = time.monotonic()
        self._client.connect_timeout = REACH_S
        if self.version == "5":
            self._client.connect(host, port, keepalive_s, clean_start=True)
        else:
            self._client.connect(host, port, keepalive_s)
        answer_s = self._patience_s(time.monotonic() - began)
        self._client.loop_start()
        if not self._answered.wait(answer_s):
            return Ending("silence", f"no answer to CONNECT by MQTT {self.version} within {answer_s:.1f} s")
        return self._ending

    def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe with QoS 1."""
        _, mid = self._client.subscribe([(each, 1) for each in filters])
        if mid is not None:
            self._filters[mid] = filters

    def publish(self, packet: Packet) -> int:
        """Hand a message over and return its packet number; on a dead connection no acknowledgement will come."""
        properties = _properties(packet) if self.version == "5" else None
        info = self._client.publish(packet.topic, packet.payload, packet.qos, packet.retain, properties)
        return int(info.mid)

    def wait(self, stopping: threading.Event, *, alive: Callable[[], None]) -> Ending:
        """Return how the connection ended, once it has; calls `alive` every second meanwhile."""
        while not self._gone.wait(LIVENESS_S):
            alive()
            if stopping.is_set():
                self.end(Ending("stopped", "stopped"))
                break
            # paho's thread ends without a word if a broker sends what it cannot decode.
            if self._network is not None and not self._network.is_alive():
                return Ending("lost", "the network thread died")
        return self._ending or Ending("lost", "lost")

    def end(self, ending: Ending) -> None:
        """Make `wait` return."""
        self._ending = self._ending or ending
        self._gone.set()

    def close(self) -> None:
        """Free socket and thread; says goodbye first if the connection is up and was meant to be stopped."""
        if self._closed:
            return
        self._closed = True
        if self._ending is not None and self._ending.kind == "stopped":
            self._gone.clear()
            self._client.disconnect()
            self._gone.wait(CLOSE_S)
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            # paho's loop does not look at loop_stop while something is unacknowledged, but it sees a dead socket.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def _patience_s(self, reached_in_s: float) -> float:
        # A broker that knows only 3.1.1 may take a CONNECT of version 5 for an unfinished one and stay silent (amqtt
        # does). The way to it has just been measured, so this does not mistake a slow network for such a broker.
        return REACH_S if self.version == "3.1.1" else min(REACH_S, 1.0 + 10.0 * reached_in_s)

    def _on_connect(
        self, _: Client, __: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del flags
        self._network = threading.current_thread()
        if reason.is_failure:
            kind: Kind = "wrong version" if reason.value == UNSUPPORTED_VERSION else "refused"
            self._ending = Ending(kind, f"refused by the broker: {reason}")
        else:
            self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self._answered.set()

    def _on_disconnect(
        self, _: Client, __: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del properties
        if self._ending is None:
            self._ending = self._ending_of(flags, reason)
        self._answered.set()
        self._gone.set()

    def _ending_of(self, flags: DisconnectFlags, reason: ReasonCode) -> Ending:
        if not self._answered.is_set():
            return Ending("silence", f"the broker hung up on a CONNECT by MQTT {self.version}")
        if flags.is_disconnect_packet_from_server:
            kind: Kind = "taken over" if reason.value == SESSION_TAKEN_OVER else "closed"
            if reason.value in BROKER_LEAVES:
                kind = "lost"
            return Ending(kind, f"ended by the broker: {reason}")
        if self._hung_up:
            return Ending("closed", "the broker hung up")
        return Ending("lost", f"connection lost: {reason}")

    def _on_socket_close(self, _: Client, __: Any, sock: Any) -> None:
        # paho does not tell a broker that hangs up from a network that breaks; the kernel does.
        if isinstance(sock, socket.socket) and sys.platform == "linux":
            state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            self._hung_up = state == TCP_CLOSE_WAIT

    def _on_publish(self, _: Client, __: Any, mid: int, reason: ReasonCode, properties: Properties) -> None:
        del properties
        self._handlers.acknowledged(mid, reason.value)

    def _on_subscribe(
        self, _: Client, __: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        del properties
        for topic_filter, reason in zip(self._filters.pop(mid, ()), reasons, strict=False):
            if reason.value >= REFUSED:
                self._handlers.denied(topic_filter, reason.value)

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._handlers.message(topic, bytes(message.payload))


def _properties(packet: Packet) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = packet.content_type
    if packet.expires_s is not None:
        properties.MessageExpiryInterval = packet.expires_s
    if packet.response_topic is not None:
        properties.ResponseTopic = packet.response_topic
    if packet.correlation is not None:
        properties.CorrelationData = packet.correlation
    return properties
