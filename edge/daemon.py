"""The life of `mien-edge run`: sources, pipeline, link and health, from start to a clean stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edge.alarm import make_alarm
from edge.assemble import (
    Models,
    described,
    face_stage,
    make_aggregator,
    make_filter,
    make_fusion,
    make_gate,
    speech_stage,
)
from edge.birth import birth_message, source_kinds
from edge.capture.base import Frame, Sound
from edge.clock import Clock
from edge.header import Headers
from edge.health import Timings, health_message, in_words
from edge.mute import Mute
from edge.permit import Permit
from edge.pipeline import Outlet, Pipeline
from edge.policy import Permissions
from edge.progress import Progress
from edge.protocol import Birth, Command, Event, Reading, Reply, SourceHealth, SourceState, Verdict
from edge.settings import Config
from edge.supervise import Opener, SourceWorker
from edge.windows import WindowCutter

log = logging.getLogger(__name__)

HEALTH_EVERY_S = 60.0
IN_FLIGHT_S = 0.5
"""A window is closed this long after its end: blocks of sound come that late."""
SOUND_BLOCKS = 128
STOP_S = 1.5
"""For closing all sources together: with the link's time the whole stop stays under 5 s."""


class Daemon:
    """One running device.

    `camera` and `microphone` open the configured sources, None where there is none. `on_reading` is
    for those who look on, such as the terminal; it gets what the policy lets out. `on_turn` is called at each turn of
    the loop, several times a second: that this goes on is the progress of inference. `progress` gets the hearts of the
    sources. After a reload `before` is the daemon that has ended: the session's time goes on, and so does the pause
    after its last alert.
    """

    def __init__(
        self,
        config: Config,
        models: Models,
        *,
        outlet: Outlet,
        headers: Headers,
        clock: Clock,
        camera: Opener | None,
        microphone: Opener | None,
        mute: Mute,
        outbox_state: Callable[[], tuple[int, int, int]],
        on_reading: Callable[[Reading], None] = lambda _: None,
        on_turn: Callable[[], None] = lambda: None,
        progress: Progress | None = None,
        before: Daemon | None = None,
    ) -> None:
        self._config, self._models = config, models
        self._outlet, self._headers, self._clock = outlet, headers, clock
        self._outbox_state, self._on_reading, self._on_turn = outbox_state, on_reading, on_turn
        progress = progress or Progress(clock)
        self._mute = mute
        self.permissions = Permit(config.declared_site(), clock=clock, mute=mute)
        self._alarm = make_alarm(config.alert, raised_s=None if before is None else before.last_alert_s)
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._timings = Timings()
        self.started_at: float = clock.monotonic() if before is None else before.started_at
        """Monotonic seconds from which the session's time counts."""
        self._asked: dict[str, float] = {}
        self._gate = make_gate(models, config)
        self._pipeline = self._make_pipeline()
        self._workers = [
            SourceWorker(
                name,
                opener,
                keep=keep,
                allowed=lambda: self.permissions().open_devices,
                on_change=self._source_changed,
                clock=clock,
                ready=self._ready,
                heart=progress.heart(name),
            )
            for name, opener, keep in (("camera", camera, 1), ("microphone", microphone, SOUND_BLOCKS))
            if opener is not None
        ]

    def run(self) -> None:
        """Work until `stop` is called."""
        log.info("policy: %s", self.permissions.news())
        for gate in self._models.gates(self._config):
            log.info("gate: %s", described(gate))
        for worker in self._workers:
            worker.start()
        next_health = self._clock.monotonic()
        while not self._stopping.is_set():
            self._ready.wait(0.1)
            self._ready.clear()
            self._work()
            self._on_turn()
            if self._clock.monotonic() >= next_health:
                self._publish_health()
                next_health = self._clock.monotonic() + HEALTH_EVERY_S
        self._pipeline.finish(self._now_s())
        self._close_sources()
        self._alarm.close()

    def _close_sources(self) -> None:
        until = self._clock.monotonic() + STOP_S
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.stop(max(0.0, until - self._clock.monotonic()))

    def stop(self) -> None:
        """Ask `run` to end; safe from signal handlers and other threads."""
        self._stopping.set()
        self._ready.set()

    @property
    def last_alert_s(self) -> float | None:
        """Seconds of the session's time at which the last local alert went off, None: none yet."""
        return self._alarm.raised_s

    def sources(self) -> dict[str, SourceHealth]:
        """Return how each source does."""
        return {worker.name: worker.health() for worker in self._workers}

    def words(self) -> list[str]:
        """Return in words what the policy allows and how each source does, a line each."""
        parts = [self.permissions().why, *(in_words(name, health) for name, health in self.sources().items())]
        return [" ".join(part.split()) for part in parts]

    def birth(self) -> Birth:
        """Return who this device is."""
        return birth_message(self._headers, self._config, self._models, source_kinds(self._config))

    def on_verdict(self, verdict: Verdict) -> None:
        """Take the cloud's answer: its time goes into health, its absence had counted against the gate's breaker."""
        asked_at = self._asked.pop(verdict.reading_id, None)
        if asked_at is not None:
            self._gate.answered()
            self._timings.add("verdict", (self._clock.monotonic() - asked_at) * 1000.0)

    def on_command(self, command: Command) -> None:
        """Do what the cloud asks, as far as it may ask; it can mute but never unmute."""
        if command.verb == "rebirth":
            self._outlet.publish("birth", self.birth())
            ok, text = True, "published"
        elif command.verb == "mute":
            kept = self._mute.set()
            ok, text = True, f"devices closed until {'unmuted' if kept else 'the daemon is restarted'} at the device"
        elif command.verb == "selftest":
            ok, text = self._self_test()
        else:
            ok, text = False, f"this version does not do {command.verb}"
        reply = Reply(**self._headers.next(), command_id=command.id, verb=command.verb, ok=ok, text=text)
        self._outlet.publish("reply", reply)

    def _self_test(self) -> tuple[bool, str]:
        """Return whether what may be open works, and in words how each part does."""
        rows, _, dropped = self._outbox_state()
        outbox = f"outbox {rows}" + (f", {dropped} dropped" if dropped else "")
        works = all(health.state == "ok" for health in self.sources().values())
        return works or not self.permissions().open_devices, "; ".join([*self.words(), outbox])

    def _work(self) -> None:
        if (why := self.permissions.news()) is not None:
            log.info("policy: %s", why)
            self._outlet.publish("event", Event(**self._headers.next(), type="policy-changed", text=why))
        for worker in self._workers:
            for item in worker.take():
                self._pipeline.feed(self._on_session_time(item))
        self._pipeline.advance(self._now_s() - IN_FLIGHT_S, late_s=IN_FLIGHT_S)
        self._expire_requests()

    def _now_s(self) -> float:
        return self._clock.monotonic() - self.started_at

    def _on_session_time(self, item: Frame | Sound) -> Frame | Sound:
        time_s = item.time_s - self.started_at
        return Frame(time_s, item.image) if isinstance(item, Frame) else Sound(time_s, item.pcm)

    def _saw_reading(self, reading: Reading, allowed: Permissions) -> None:
        self._timings.add("reading", reading.latency_ms)
        if reading.gate == "requested":
            self._asked[reading.id] = self._clock.monotonic()
        if self._alarm.see(reading, allowed):
            self._outlet.publish("event", Event(**self._headers.next(), type="local-alert", text="the local alert"))
        if allowed.publish_readings:
            log.debug("reading %s: %s", reading.id, reading.gate, extra={"MIEN_READING": reading.id})
            self._on_reading(reading)

    def _expire_requests(self) -> None:
        now = self._clock.monotonic()
        deadline_s = self._config.gate.deadline_ms / 1000.0
        for reading_id, asked_at in list(self._asked.items()):
            if now - asked_at > deadline_s and self._asked.pop(reading_id, None) is not None:
                self._gate.unanswered(self._now_s())

    def _source_changed(self, name: str, state: SourceState, error: str) -> None:
        if not self.permissions().open_devices:
            return  # closed by the policy: health says so, and nothing else is said
        event = Event(
            **self._headers.next(), type=f"{name}-{state}", text=f"{name} is {state}", detail={"error": error[:500]}
        )
        self._outlet.publish("event", event)
        self._publish_health()

    def _publish_health(self) -> None:
        health = health_message(
            self._headers,
            clock=self._clock,
            started_at=self.started_at,
            sources=self.sources(),
            timings=self._timings,
            outbox=self._outbox_state(),
        )
        self._outlet.publish("health", health)

    def _make_pipeline(self) -> Pipeline:
        config = self._config
        return Pipeline(
            face=face_stage(self._models, config.face, detect_every=config.face.detect_every),
            speech=speech_stage(self._models),
            fusion=make_fusion(self._models, config.fusion.rule),
            temporal=make_filter(self._models, config.window),
            gate=self._gate,
            permissions=self.permissions,
            outlet=self._outlet,
            headers=self._headers,
            clock=self._clock,
            budget_clock=self._now_s,
            cutter=WindowCutter(length_s=config.window.length_s, tail_s=0.0, start_s=self._now_s()),
            aggregator=make_aggregator(self._headers, config),
            deadline_ms=config.gate.deadline_ms,
            on_reading=self._saw_reading,
        )
