"""The device of `scripts/bench load`: `python -m training.load.device OPTIONS`, OPTIONS being JSON of `Options`.

The real service with its daemon, models, link and outbox; only the clock, the camera and the microphone are simulated.
Prints one JSON line per sample, and ends by itself.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from edge.assemble import load_models
from edge.clock import FakeClock
from edge.connect import Connection
from edge.daemon import Daemon
from edge.ledger import Ledger
from edge.mute import Mute
from edge.notify import Notifier
from edge.progress import Progress
from edge.protocol import Reading
from edge.service import Service
from edge.settings import (
    Config,
    DeviceSettings,
    FaceSettings,
    MqttSettings,
    OutboxSettings,
    PrivacySettings,
    SiteSettings,
    WindowSettings,
)
from training.load.memory import sample
from training.load.stage import Stage, camera, microphone

RELOAD_AT, UNPLUG_AT = 0.25, 0.65
"""When in each `trouble_every_h` the settings are reloaded and the camera is unplugged, in shares of it."""
STAYS = (0.5, 0.6)
"""What the reloads change, to and fro: `window.stay`."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is simulated."""

    broker: str
    folder: str
    """Of the outbox."""
    frames: str
    """.npy, (N, 480, 640, 3) BGR."""
    sound: str
    """.npy, (N,) float32 at 16 kHz."""
    fps: float
    hours: float
    sample_every_s: float
    """In simulated seconds, as all times here."""
    trouble_every_h: float
    detector: str = ""
    """YuNet's weights; empty: those that were fetched, else the Haar cascade."""


class Day:
    """One simulated day, and its troubles. `look_on` sees every reading, as the terminal of `mien-edge run` does."""

    def __init__(self, options: Options, *, look_on: Callable[[Reading], None] = lambda _: None) -> None:
        self._options, self._look_on = options, look_on
        self._clock = FakeClock()
        self._began = self._clock.monotonic()
        self._stage = Stage(self._clock, step_s=1.0 / options.fps, players=2)
        self._frames, self._pcm = np.load(options.frames), np.load(options.sound)
        self._models = load_models(settings(options).models)
        self._mute = Mute(None)
        self._readings = self._perceived = 0
        self._ledger = Ledger(clock=self._clock, deadline_s=10.0, on_row=lambda _: None)
        self._progress = Progress(self._clock)
        self._connection = Connection(settings(options), clock=self._clock)
        self._due = {"sample": 0.0, "reload": RELOAD_AT, "unplug": UNPLUG_AT}  # hours
        self._reloads = 0
        self._service = Service(
            settings(options),
            read=self._changed_settings,
            keep=lambda _: None,
            build=self._build,
            connection=self._connection,
            clock=self._clock,
            notifier=Notifier({}),
            progress=self._progress,
            on_verdict=self._ledger.answer,
        )

    def run(self) -> None:
        """Work until the simulated hours are over."""
        self._service.run()

    def _build(self, config: Config, *, before: Daemon | None, on_turn: Callable[[], None]) -> Daemon:
        def turn() -> None:
            self._turn()
            on_turn()

        return Daemon(
            config,
            self._models,
            outlet=self._connection,
            headers=self._connection.headers,
            clock=self._clock,
            camera=lambda: camera(self._stage, self._frames, self._options.fps),
            microphone=lambda: microphone(self._stage, self._pcm, self._stage.step_s),
            mute=self._mute,
            outbox_state=self._connection.outbox_state,
            on_reading=self._saw,
            on_turn=turn,
            progress=self._progress,
            before=before,
        )

    def _saw(self, reading: Reading) -> None:
        self._readings += 1
        self._perceived += reading.face is not None and reading.voiced_share is not None
        self._ledger.add("live", reading)
        self._look_on(reading)

    def _turn(self) -> None:
        self._stage.turn()
        hour = (self._clock.monotonic() - self._began) / 3600.0
        if self._is_due("sample", hour, self._options.sample_every_s / 3600.0):
            self._say(hour)
        if self._is_due("reload", hour / self._options.trouble_every_h, 1.0):
            self._service.reload()
        if self._is_due("unplug", hour / self._options.trouble_every_h, 1.0):
            for source in self._stage.sources[:1]:
                source.unplug()
        if hour >= self._options.hours:
            self._service.stop()

    def _is_due(self, what: str, now: float, every: float) -> bool:
        if now < self._due[what]:
            return False
        self._due[what] += every
        return True

    def _say(self, hour: float) -> None:
        rows, size, dropped = self._connection.outbox_state()
        files = Path(self._options.folder).glob("outbox.sqlite*")
        said = {
            "hour": hour,
            **sample(),
            "cpu_s": time.process_time(),
            "readings": self._readings,
            "perceived": self._perceived,
            "reloads": self._reloads,
            "outbox_rows": rows,
            "outbox_bytes": size,
            "outbox_dropped": dropped,
            "outbox_files_mb": sum(file.stat().st_size for file in files) / 2**20,
        }
        print(json.dumps(said), flush=True)

    def _changed_settings(self) -> Config:
        self._reloads += 1
        return settings(self._options, stay=STAYS[self._reloads % 2])


def settings(options: Options, *, stay: float = STAYS[0]) -> Config:
    """Return the settings of the simulated device: everything runs, everything may leave."""
    return Config(
        site=SiteSettings(name="load", mode="demo", setting="private", jurisdiction="US"),
        privacy=PrivacySettings(offload="crops"),
        device=DeviceSettings(name="load"),
        face=FaceSettings(detector_model=options.detector),
        window=WindowSettings(stay=stay),
        mqtt=MqttSettings(broker=options.broker),
        outbox=OutboxSettings(folder=options.folder),
    )


def main(options: str, *, look_on: Callable[[Reading], None] = lambda _: None) -> None:
    """Simulate a day. Its minutes pass in seconds, so that what the log says of times means nothing: it is off."""
    logging.disable()
    Day(msgspec.json.decode(options, type=Options), look_on=look_on).run()


if __name__ == "__main__":
    main(sys.argv[1])
