"""One simulated device: the real protocol over a connection of its own, with made-up perceptions."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any

import aiomqtt
import msgspec

from cloud.link import BrokerAddress
from edge import __version__
from edge.clock import SystemClock
from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.errors import ProtocolError
from edge.header import Headers
from edge.protocol import (
    CLOUD,
    PREFIX,
    AnyMessage,
    Availability,
    Birth,
    Distribution,
    Evidence,
    Health,
    Percentiles,
    Reading,
    SourceHealth,
    Verdict,
    decode,
    distribution,
    encode,
    topic,
)
from simulated_fleet.tally import Tally

HEALTH_EVERY_S = 60.0
KEEPALIVE_S = 30
IN_FLIGHT = 1000
"""Publishes at once of one device before aiomqtt warns: the load does not wait for answers."""
STICKY = 0.9
"""Probability that the next window shows the emotion of the last."""


class Device:
    """A device of a site: `connect`, `live` until cancelled, `part`. `tally` may be exchanged at any time."""

    def __init__(self, site: str, name: str, *, every_s: float, evidence: Sequence[Evidence], share: float) -> None:
        self.site, self.name, self.tally = site, name, Tally()
        self._every_s, self._evidence, self._share = every_s, evidence, share if evidence else 0.0
        self._dice = random.Random(f"{site}/{name}")
        self._clock = SystemClock()
        self._headers = Headers(session=int(time.time()), mode="demo", clock=self._clock)
        self._began = self._clock.monotonic()
        self._emotion = self._dice.choice(EMOTIONS)
        self._waiting: dict[str, float] = {}
        self._client: aiomqtt.Client | None = None
        self._connection = contextlib.AsyncExitStack()

    async def connect(self, address: BrokerAddress) -> None:
        """Connect with the last will of a device, subscribe, and say who is there. Raises MqttError."""
        lost = Availability(state="lost", session=self._headers.session)
        self._client = aiomqtt.Client(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=f"{self.site}-{self.name}",
            protocol=address.protocol,
            keepalive=KEEPALIVE_S,
            will=aiomqtt.Will(self._topic("availability"), encode(lost), qos=1, retain=True),
        )
        self._client.pending_calls_threshold = IN_FLIGHT
        await self._connection.enter_async_context(self._client)
        commands = f"{PREFIX}/{self.site}/{self.name}/command/+"
        cloud = topic(self.site, CLOUD, "availability")
        await self._client.subscribe([(each, 1) for each in (self._topic("verdict"), commands, cloud)])
        await self._say("availability", Availability(state="online", session=self._headers.session), retain=True)
        birth = Birth(
            **self._headers.next(),
            software=__version__,
            python=platform.python_version(),
            models=[],
            sources={"camera": "file", "microphone": "portaudio"},
            config_sha256="0" * 64,
        )
        await self._say("birth", birth, retain=True)

    async def part(self) -> None:
        """Say goodbye, as a device does that is stopped, and hang up."""
        with contextlib.suppress(aiomqtt.MqttError):
            async with self._connection:
                await self._say(
                    "availability", Availability(state="stopped", session=self._headers.session), retain=True
                )

    async def live(self) -> None:
        """Publish readings and health, and listen, until cancelled. Raises MqttError when the connection is lost."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._repeat(tasks, self._read, self._every_s))
            tasks.create_task(self._repeat(tasks, self._report, HEALTH_EVERY_S))

    async def _repeat(
        self, tasks: asyncio.TaskGroup, say: Callable[[], Coroutine[Any, Any, None]], every_s: float
    ) -> None:
        """Say something at a steady pace, beginning at a random moment.

        Each time in a task of its own: the next window comes whether or not the last was acknowledged. And so that
        this task only ever sleeps: asyncio.wait_for, in which a publish waits, can swallow a cancellation.
        """
        due = self._clock.monotonic() + self._dice.uniform(0.0, every_s)
        while True:
            await asyncio.sleep(due - self._clock.monotonic())
            tasks.create_task(say())
            due += every_s

    async def _read(self) -> None:
        """Publish one reading, and evidence with some."""
        tally = self.tally
        asks = self._dice.random() < self._share
        reading = self._reading(asks=asks)
        tally.sent[reading.id] = time.monotonic()
        try:
            await self._say("reading", reading)
            tally.acknowledged += 1
            if asks:
                await self._ask(reading.id, tally)
        except aiomqtt.MqttError as error:
            tally.failed[str(error)] += 1

    async def _ask(self, reading_id: str, tally: Tally) -> None:
        example = self._dice.choice(self._evidence)
        evidence = msgspec.structs.replace(example, **self._headers.next(), reading_id=reading_id)
        tally.asked += 1
        self._waiting[reading_id] = time.monotonic()
        await self._say("evidence", evidence)

    async def _report(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            await self._say("health", self._health(), qos=0)

    async def _listen(self) -> None:
        assert self._client is not None
        async for message in self._client.messages:
            if str(message.topic) == self._topic("verdict") and isinstance(message.payload, bytes):
                self._hear(message.payload)

    def _hear(self, payload: bytes) -> None:
        try:
            verdict = decode(Verdict, payload)
        except ProtocolError as error:
            self.tally.refused[f"no verdict: {error}"] += 1
            return
        asked = self._waiting.pop(verdict.reading_id, None)
        if verdict.status == "refused":
            self.tally.refused[verdict.reason] += 1
        elif asked is not None:
            self.tally.verdicts_ms.append(1000.0 * (time.monotonic() - asked))

    async def _say(self, kind: str, message: AnyMessage, *, qos: int = 1, retain: bool = False) -> None:
        assert self._client is not None
        await self._client.publish(self._topic(kind), encode(message), qos=qos, retain=retain)

    def _topic(self, kind: str) -> str:
        return topic(self.site, self.name, kind)

    def _reading(self, *, asks: bool) -> Reading:
        if self._dice.random() > STICKY:
            self._emotion = self._dice.choice(EMOTIONS)
        end_s = self._clock.monotonic() - self._began
        speaks = self._dice.random() < 0.5
        face = self._distribution(EMOTIONS, 0.45 if asks else 0.9)
        return Reading(
            **self._headers.next(),
            start_s=max(0.0, end_s - self._every_s),
            end_s=end_s,
            faces=1,
            face=face,
            speech=self._distribution(SPEECH_EMOTIONS, 0.5) if speaks else None,
            fused=face,
            face_quality=round(self._dice.uniform(0.5, 1.0), 3),
            voiced_share=round(self._dice.uniform(0.2, 1.0), 3) if speaks else 0.0,
            gate="requested" if asks else "sure",
            threshold=0.65,
            latency_ms=40.0,
        )

    def _distribution(self, labels: Sequence[str], confidence: float) -> Distribution:
        cuts = sorted(self._dice.uniform(0.0, 1.0 - confidence) for _ in labels[2:])
        rest = [high - low for low, high in pairwise([0.0, *cuts, 1.0 - confidence])]
        return distribution(
            [self._emotion, *(label for label in labels if label != self._emotion)], [confidence, *rest]
        )

    def _health(self) -> Health:
        here = SourceHealth(state="ok", rate=5.0, dropped=0, error="")
        return Health(
            **self._headers.next(),
            uptime_s=self._clock.monotonic() - self._began,
            sources={"camera": here, "microphone": here},
            timings={"reading": Percentiles(p50_ms=40.0, p95_ms=60.0)},
            outbox_rows=0,
            outbox_bytes=0,
            outbox_dropped=0,
            bytes_written=0,
            memory_mb=143.0,
            temperature_c=round(self._dice.uniform(45.0, 60.0), 1),
            throttled=False,
        )
