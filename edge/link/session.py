"""The device's MQTT session: what the pipeline publishes goes out or is kept, what the cloud says comes in.

Nothing here waits for the network but `stop`. Two threads do the work: `connect.Connector` keeps a connection up,
`courier.Courier` sends, waits for acknowledgements, stores and replays. A third is paho's, one per connection.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Literal, ParamSpec

from edge.clock import Clock
from edge.errors import BadTopic
from edge.link.broker import parse_broker
from edge.link.connect import Connector
from edge.link.connection import Connection, Packet, Will
from edge.link.courier import Courier
from edge.link.incoming import Incoming, handlers
from edge.link.outbox import Outbox
from edge.link.rows import SPEC, row_of
from edge.link.stats import LinkStats, link_stats
from edge.progress import Progress
from edge.protocol import (
    AnyMessage,
    Availability,
    Birth,
    Command,
    Event,
    Evidence,
    Health,
    Message,
    Reply,
    SourceState,
    Verdict,
    encode,
    topic,
)

log = logging.getLogger(__name__)

P = ParamSpec("P")


class Link:
    """One device at one broker. Safe to share between threads.

        link = Link(broker="mqtts://broker.example", site="school-7", device="room-12", session=outbox.next_session(),
                    outbox=outbox, clock=SystemClock(), birth=make_birth, on_verdict=..., on_command=...)
        link.start()
        link.publish("reading", reading)
        if link.cloud_present:
            link.request(evidence)
        link.stop(5.0)

    `birth` is asked for the birth message after each connect (None: nothing is born, as in a replay). `on_verdict` gets
    the verdicts that come in time, `on_command` every command, both in the network's thread: they must be quick.
    `on_taken_over` is called when another client has taken this device's name and the link has stopped connecting;
    `on_refused` with topic and reason code of each message that the broker refused. The outbox stays the caller's.
    `progress` gets the hearts of the link's two threads.

    Raises LinkError if the address or the TLS files cannot be used, BadTopic if site or device is no name.
    """

    def __init__(
        self,
        *,
        broker: str,
        site: str,
        device: str,
        session: int,
        outbox: Outbox,
        clock: Clock,
        birth: Callable[[], Birth] | None,
        on_verdict: Callable[[Verdict], None],
        on_command: Callable[[Command], None],
        on_taken_over: Callable[[], None] = lambda: None,
        on_refused: Callable[[str, int], None] = lambda _topic, _reason: None,
        username: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        certificate_file: str | None = None,
        key_file: str | None = None,
        puback_timeout_s: float = 5.0,
        replay_per_s: float = 20.0,
        keepalive_s: int = 30,
        backoff_s: tuple[float, float] = (1.0, 60.0),
        progress: Progress | None = None,
    ) -> None:
        progress = progress or Progress(clock)
        self._site, self._device, self._session = site, device, session
        self._outbox, self._clock, self._birth = outbox, clock, birth
        self._up = False
        self._sources: dict[str, SourceState] = {}
        self._incoming = Incoming(site=site, device=device, clock=clock, on_verdict=on_verdict, on_command=on_command)
        self._courier = Courier(
            outbox=outbox,
            clock=clock,
            puback_timeout_s=puback_timeout_s,
            replay_per_s=replay_per_s,
            greet=self._greet,
            on_refused=_guarded(on_refused),
            heart=progress.heart("outbox"),
        )
        address = parse_broker(
            broker,
            username=username,
            password=password,
            ca_file=ca_file,
            certificate_file=certificate_file,
            key_file=key_file,
        )
        self._connector = Connector(
            broker=address,
            client_id=device,
            will=Will(topic(site, device, "availability"), encode(Availability(state="lost", session=session))),
            keepalive_s=keepalive_s,
            backoff_s=backoff_s,
            on_up=self._begin,
            on_down=self._end,
            handlers=handlers(self._incoming, self._courier.acknowledged),
            on_taken_over=_guarded(on_taken_over),
            heart=progress.heart("link"),
        )

    def start(self) -> None:
        """Begin to connect; returns at once, whether or not there is a network."""
        self._courier.start()
        self._connector.start()

    def stop(self, timeout_s: float) -> None:
        """Wait for acknowledgements, store the rest, say `stopped` and disconnect, all within `timeout_s`.

        What is published afterwards is lost.
        """
        self._courier.stop(timeout_s, self._availability("stopped"))
        self._connector.stop(timeout_s)

    def publish(self, kind: str, message: AnyMessage, sub: str = "") -> None:
        """Send a message, or keep it for later if its kind is spooled; returns at once.

        `sub` is the event's type or the reply's verb, taken from the message if it is not given. Raises BadTopic for
        a kind that a device does not publish so, BadMessage for a message that is too large.
        """
        spec = SPEC.get(kind)
        if spec is None or spec.direction != "device" or not isinstance(message, spec.message):
            raise BadTopic(f"a device does not publish {type(message).__name__} as {kind}")
        packet = Packet(
            topic(self._site, self._device, kind, sub or _sub(message)),
            encode(message),
            qos=max(spec.qos, self._health_qos(message)),
            retain=spec.retained,
        )
        row = None
        if spec.spooled and isinstance(message, Message):
            boot, now = self._clock.boot_id(), self._clock.monotonic()
            row = row_of(message, kind=kind, topic=packet.topic, payload=packet.payload, boot=boot, monotonic=now)
        self._courier.send(packet, row)

    def request(self, evidence: Evidence) -> bool:
        """Ask the cloud about a reading; False if it cannot be asked now. Evidence is never kept for later.

        Raises BadMessage if the evidence is too large.
        """
        if not self.cloud_present:
            return False
        packet = Packet(
            topic(self._site, self._device, "evidence"),
            encode(evidence),
            qos=1,
            content_type="application/msgpack",
            expires_s=math.ceil(evidence.ttl_ms / 1000.0),
            response_topic=topic(self._site, self._device, "verdict"),
            correlation=evidence.reading_id.encode(),
        )
        self._incoming.pending.asked(evidence.reading_id, ttl_ms=evidence.ttl_ms, now=self._clock.monotonic())
        self._courier.send(packet)
        return True

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection is up, as far as we know."""
        return self._up

    @property
    def cloud_present(self) -> bool:
        """Whether the connection is up and a cloud worker was heard within 45 s by the monotonic clock."""
        return self._up and self._incoming.cloud.present

    def stats(self) -> LinkStats:
        """Return the counts so far."""
        return link_stats(
            connected=self._up, connector=self._connector, sent=self._courier.counts, heard=self._incoming.counts
        )

    def _begin(self, connection: Connection) -> None:
        self._up = True
        self._courier.up(connection)

    def _end(self, connection: Connection) -> None:
        self._up = False
        self._incoming.cloud.lost()
        self._courier.down(connection)

    def _greet(self, connection: Connection) -> list[Packet]:
        # Subscribed first: the cloud answers a birth with its heartbeat at once.
        connection.subscribe(self._incoming.filters)
        packets = [self._availability("online")]
        try:
            if self._birth is not None:
                birth = topic(self._site, self._device, "birth")
                packets.insert(0, Packet(birth, encode(self._birth()), qos=1, retain=True))
        except Exception:
            # A device that cannot say who it is still has readings; without the courier's thread it would have none.
            log.exception("no birth message could be made")
        return packets

    def _availability(self, state: Literal["online", "stopped"]) -> Packet:
        message = Availability(state=state, session=self._session)
        return Packet(topic(self._site, self._device, "availability"), encode(message), qos=1, retain=True)

    def _health_qos(self, message: AnyMessage) -> int:
        """Return 1 for a health message that tells of a change: that must not get lost on the way."""
        if not isinstance(message, Health):
            return 0
        sources = {name: source.state for name, source in message.sources.items()}
        changed, self._sources = sources != self._sources, sources
        return int(changed)


def _sub(message: AnyMessage) -> str:
    if isinstance(message, Event):
        return message.type
    return message.verb if isinstance(message, Reply) else ""


def _guarded(callback: Callable[P, None]) -> Callable[P, None]:
    """Return the callback so that its mistakes are logged instead of ending the thread that calls it."""

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except Exception:
            log.exception("a callback of the link failed")

    return call
