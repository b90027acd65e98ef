from __future__ import annotations

import threading
from typing import Self

import numpy as np

from edge.capture.base import Frame, Sound
from edge.capture.fakes import FakeMicrophone
from edge.clock import SystemClock
from edge.supervise import SourceWorker


class Surprising:
    """A source whose first life ends with an error that no one expects of a source."""

    dropped = 0
    lives = 0

    def __enter__(self) -> Self:
        Surprising.lives += 1
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, timeout_s: float) -> Frame | Sound | None:
        if Surprising.lives == 1:
            raise OSError("the driver is gone")
        return Sound(SystemClock().monotonic(), np.zeros(1600, np.float32))


def test_a_surprising_error_costs_a_pause_and_not_the_thread() -> None:
    states: list[tuple[str, str]] = []
    recovered, ready = threading.Event(), threading.Event()

    def changed(name: str, state: str, error: str) -> None:
        states.append((state, error))
        if state == "ok":
            recovered.set()
        raise RuntimeError("whoever is told may fail as well")

    worker = SourceWorker(
        "camera", Surprising, keep=1, allowed=lambda: True, on_change=changed, clock=SystemClock(), ready=ready
    )
    worker.start()
    assert recovered.wait(10.0)
    worker.stop(5.0)
    assert [state for state, _ in states][:2] == ["down", "ok"]
    assert "the driver is gone" in states[0][1]


def test_the_rate_of_sound_is_in_seconds_of_sound_per_second() -> None:
    ready = threading.Event()
    worker = SourceWorker(
        "microphone",
        lambda: FakeMicrophone(np.zeros(10 * 16_000, np.float32), realtime=True),
        keep=100,
        allowed=lambda: True,
        on_change=lambda *_: None,
        clock=SystemClock(),
        ready=ready,
    )
    worker.start()
    heard = 0
    while heard < 12 and ready.wait(10.0):
        ready.clear()
        heard += len(worker.take())
    health = worker.health()
    worker.stop(5.0)
    assert health.state == "ok"
    assert 0.5 < health.rate < 1.5


def test_nothing_is_opened_where_the_policy_says_no() -> None:
    Surprising.lives = 0
    worker = SourceWorker(
        "camera",
        Surprising,
        keep=1,
        allowed=lambda: False,
        on_change=lambda *_: None,
        clock=SystemClock(),
        ready=threading.Event(),
    )
    worker.start()
    worker.stop(5.0)
    assert Surprising.lives == 0
