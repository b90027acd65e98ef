"""Playing media files through the same pipeline as a live device, in media time.

Frames and sound of a clip share one clock, no sampled frame is dropped, and all state is reset from clip to clip. With
a broker the readings are published and the verdicts awaited; without one nothing leaves the machine.
"""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.assemble import Models, face_stage, make_aggregator, make_filter, make_fusion, make_gate, speech_stage
from edge.capture.base import Frame, Sound
from edge.capture.media import MediaFile
from edge.clock import Clock
from edge.errors import CaptureError, Undecodable
from edge.header import Headers
from edge.health import peak_memory_mb
from edge.pipeline import Outlet, Pipeline
from edge.policy import decide
from edge.protocol import Reading
from edge.settings import Config
from edge.text import printable
from edge.windows import WindowCutter

log = logging.getLogger(__name__)

TAIL_S = 1.0
"""Seconds. A shorter tail joins the window before it."""


@dataclass(frozen=True)
class Cost:
    """What playing cost this process."""

    media_s: float
    cpu_s: float
    """User and system time spent on the clips, decoding included, without start-up."""
    start_cpu_s: float
    """User and system time before the first clip: imports and models."""
    peak_mb: float
    """Peak resident memory of the process."""

    @property
    def share(self) -> float:
        """CPU-seconds per second of media."""
        return self.cpu_s / self.media_s if self.media_s else 0.0


class Player:
    """Plays clips one after another.

    `on_reading` gets each reading that the policy lets out, with the clip as it was named. `realtime` paces playing
    by the clock. Each clip's failure goes to `on_failure` and does not stop the others.
    """

    def __init__(
        self,
        config: Config,
        models: Models,
        *,
        outlet: Outlet,
        headers: Headers,
        clock: Clock,
        on_reading: Callable[[str, Reading], None],
        on_failure: Callable[[str, CaptureError], None],
        realtime: bool = False,
    ) -> None:
        self._config, self._models = config, models
        self._outlet, self._headers, self._clock = outlet, headers, clock
        self._on_reading, self._on_failure, self._realtime = on_reading, on_failure, realtime
        self._gate = make_gate(models, config)
        self._face = face_stage(models, config.face, detect_every=max(1, config.face.detect_every))
        self._speech = speech_stage(models)
        self._played_s = 0.0
        self._start_cpu_s = _cpu_s()
        self._stopped = False

    def play(self, name: str) -> None:
        """Play one clip; `name` is its path as the user gave it."""
        try:
            with MediaFile(Path(name), fps=self._config.camera.fps) as media:
                self._play(name, media)
        except CaptureError as error:
            self._on_failure(name, error)
        except Exception as error:
            # Whatever one clip does, the others run.
            log.debug("%s", name, exc_info=True)
            self._on_failure(name, Undecodable(f"reading it failed unexpectedly: {error!r}", fix="Please report this"))

    def stop(self) -> None:
        """End playing after the current frame; the readings so far stand."""
        self._stopped = True

    def cost(self) -> Cost:
        """Return what playing has cost so far."""
        return Cost(self._played_s, _cpu_s() - self._start_cpu_s, self._start_cpu_s, peak_memory_mb())

    def _play(self, name: str, media: MediaFile) -> None:
        self._face.reset()
        self._speech.reset()
        pipeline = self._pipeline(name)
        before_s = self._played_s
        for item in self._paced(media):
            pipeline.feed(item)
            pipeline.advance(item.time_s)
            self._played_s = before_s + item.time_s
        end_s = self._played_s - before_s if self._stopped else media.duration_s
        pipeline.finish(end_s)
        self._played_s = before_s + end_s

    def _paced(self, media: MediaFile) -> Iterator[Frame | Sound]:
        started = self._clock.monotonic()
        for item in media.items():
            if self._stopped:
                return
            if self._realtime:
                time.sleep(max(0.0, started + item.time_s - self._clock.monotonic()))
            yield item

    def _pipeline(self, name: str) -> Pipeline:
        site = self._config.declared_site()
        return Pipeline(
            face=self._face,
            speech=self._speech,
            fusion=make_fusion(self._models, self._config.fusion.rule),
            temporal=make_filter(self._models, self._config.window),
            gate=self._gate,
            permissions=lambda: decide(site, now=self._clock.wall()),
            outlet=self._outlet,
            headers=self._headers,
            clock=self._clock,
            # In media time, so that a clip played faster than life has no smaller budget.
            budget_clock=self._clock.monotonic if self._realtime else lambda: self._played_s,
            cutter=WindowCutter(length_s=self._config.window.length_s, tail_s=TAIL_S),
            aggregator=make_aggregator(self._headers, self._config),
            deadline_ms=self._config.gate.deadline_ms,
            on_reading=lambda reading, allowed: self._on_reading(name, reading) if allowed.publish_readings else None,
            clip=printable(Path(name).name),
        )


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
