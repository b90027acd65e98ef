"""A simulated day: broker, stand-in for the cloud, and the device in a process of its own, whose memory is watched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
from tqdm import tqdm

from training.errors import TrainingError
from training.load.broker import Mosquitto, StandInCloud
from training.load.device import Options
from training.load.memory import MEASURES, slope_per_hour
from training.models import ROOT
from training.scenes import Scene

OUTAGE = (0.85, 0.9)
"""When in each `trouble_every_h` the broker is away, in shares of it."""
WARM_UP = 0.25
"""Share of the time that does not count: buffers grow to their bounds, histories fill."""

LIMITS = {"rss_mb": 0.25, "c_heap_mb": 0.02, "python_blocks": 200.0}
"""Most that the measures may grow per hour..."""
ONCE = {"rss_mb": 6.0, "c_heap_mb": 0.2, "python_blocks": 1000.0}
"""... and once for all: histories of bounded length fill, malloc's arenas settle. Counts little in a long run."""

MIN_SAMPLES = 12
PERCEIVED = 0.8
"""Share of the readings that must have a face and sound: a device whose sources stay down leaks nothing."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is simulated. Times are simulated ones."""

    hours: float
    samples: int
    """How many, evenly over the time."""
    trouble_every_h: float
    """In each such stretch the settings are reloaded, the camera is unplugged, and the broker is killed, once each."""
    detector: str = ""


@dataclass
class Outcome:
    """What came of it."""

    plan: Plan
    samples: list[dict[str, float]] = field(default_factory=list)
    arrived: dict[str, int] = field(default_factory=dict)
    """Messages that the stand-in cloud saw, by kind; it is away itself while it reconnects after an outage."""
    real_s: float = 0.0

    @property
    def counted(self) -> list[dict[str, float]]:
        """The samples after warming up."""
        return [each for each in self.samples if each["hour"] >= WARM_UP * self.plan.hours]

    def growth(self) -> dict[str, dict[str, float]]:
        """Return per measure: `first` and `last` of the counted samples, `per_hour` with its interval, and `limit`."""
        found = {}
        hours = self.counted[-1]["hour"] - self.counted[0]["hour"]
        for measure in MEASURES:
            if any(measure not in each for each in self.counted):
                continue
            slope, low, high = slope_per_hour(self.counted, measure)
            found[measure] = {
                "first": self.counted[0][measure],
                "last": self.counted[-1][measure],
                "per_hour": slope,
                "low": low,
                "high": high,
                "limit": LIMITS[measure] + ONCE[measure] / hours,
            }
        return found

    def too_much(self) -> list[str]:
        """Return the measures that grow for certain by more than they may."""
        return [name for name, found in self.growth().items() if found["low"] > found["limit"]]


def simulate(plan: Plan, scene: Scene, *, program: Sequence[str] = ("-m", "training.load.device")) -> Outcome:
    """Run it. `program` are the arguments of Python that make the device. Ctrl-C ends it with what there is by then.

    Raises TrainingError if the device dies, or Mosquitto is not there, and KeyboardInterrupt if there is no slope yet.
    """
    outcome = Outcome(plan)
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        folder = Path(name)
        command = [sys.executable, *program, _options(plan, scene, broker.port, folder)]
        began = time.monotonic()
        with (
            StandInCloud(broker.port, "load") as cloud,
            # A session of its own: Ctrl-C is for this process, which then ends the device.
            subprocess.Popen(
                command, env=_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
            ) as device,
        ):
            try:
                for each in _samples(device, plan):
                    _be_there_or_not(broker, each["hour"] / plan.trouble_every_h)
                    outcome.samples.append(each)
            except KeyboardInterrupt:
                _shorten(outcome)
            finally:
                device.kill()
        outcome.real_s, outcome.arrived = time.monotonic() - began, dict(cloud.counts)
    if device.returncode != 0 and outcome.plan is plan:
        raise TrainingError(f"the simulated device ended with status {device.returncode}; what it said stands above")
    last = outcome.samples[-1]
    if last["perceived"] < PERCEIVED * last["readings"]:
        raise TrainingError(
            f"only {last['perceived']:g} of {last['readings']:g} readings had both a face and sound: nothing to measure"
        )
    return outcome


def _shorten(outcome: Outcome) -> None:
    """Let the hours be those that were simulated. Raises KeyboardInterrupt if they are too few to say anything."""
    if len(outcome.samples) < MIN_SAMPLES:
        raise KeyboardInterrupt
    outcome.plan = replace(outcome.plan, hours=outcome.samples[-1]["hour"])


def _samples(device: subprocess.Popen[str], plan: Plan) -> Iterator[dict[str, float]]:
    assert device.stdout is not None
    with tqdm(total=plan.hours, unit="h", desc="simulated", disable=None, leave=False) as bar:
        for line in device.stdout:
            each = json.loads(line)
            bar.update(each["hour"] - bar.n)
            bar.set_postfix_str(f"{each['rss_mb']:.1f} MB")
            yield each
    device.wait()


def _be_there_or_not(broker: Mosquitto, stretches: float) -> None:
    away = OUTAGE[0] <= stretches % 1.0 < OUTAGE[1]
    if away and broker.running:
        broker.kill()
    elif not away and not broker.running:
        broker.start()


def _options(plan: Plan, scene: Scene, port: int, folder: Path) -> str:
    np.save(folder / "frames.npy", scene.frames)
    np.save(folder / "sound.npy", scene.pcm)
    options = Options(
        broker=f"mqtt://127.0.0.1:{port}",
        folder=str(folder / "state"),
        frames=str(folder / "frames.npy"),
        sound=str(folder / "sound.npy"),
        fps=scene.fps,
        hours=plan.hours,
        sample_every_s=plan.hours * 3600.0 / plan.samples,
        trouble_every_h=plan.trouble_every_h,
        detector=plan.detector,
    )
    return msgspec.json.encode(options).decode()


def _environment() -> dict[str, str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return os.environ | threads | {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}
