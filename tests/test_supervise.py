from __future__ import annotations

import threading
from typing import Self

import numpy as np
import pytest

from edge.capture.base import Frame, Sound
from edge.capture.fakes import FakeMicrophone
from edge.clock import FakeClock, SystemClock
from edge.errors import CaptureError
from edge.supervise import SourceWorker


class Surprising:
    """A source whose first life ends with an error that no one expects of a source."""

    dropped, trouble = 0, ""
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


class Failing:
    """A source that is pulled out after `lasts_s` of sound."""

    dropped, trouble = 0, ""

    def __init__(self, clock: FakeClock, lasts_s: float) -> None:
        self._clock, self._until = clock, clock.monotonic() + lasts_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, timeout_s: float) -> Frame | Sound | None:
        self._clock.advance(1.0)
        if self._clock.monotonic() > self._until:
            raise CaptureError("pulled out")
        return Sound(self._clock.monotonic(), np.zeros(16_000, np.float32))


@pytest.mark.parametrize(
    ("lasts_s", "pauses"), [(10.0, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]), (100.0, [1.0, 1.0, 1.0])]
)
def test_a_source_that_fails_often_waits_longer_and_one_that_fails_at_last_does_not(
    lasts_s: float, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, waited = FakeClock(), []
    enough = threading.Event()
    worker = SourceWorker(
        "microphone",
        lambda: Failing(clock, lasts_s),
        keep=1,
        allowed=lambda: True,
        on_change=lambda *_: None,
        clock=clock,
        ready=threading.Event(),
    )

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == len(pauses):
            worker.end()
            enough.set()

    monkeypatch.setattr(worker, "_pause", pause)
    worker.start()
    assert enough.wait(10.0)
    worker.stop(10.0)
    assert waited == pauses


def test_a_source_that_gives_nothing_is_down_before_it_is_closed() -> None:
    clock, states = FakeClock(), []
    down = threading.Event()

    class Hanging(Failing):
        def read(self, timeout_s: float) -> Frame | Sound | None:
            self._clock.advance(1.0)
            return None

        def __exit__(self, *_: object) -> None:
            assert states[-1] == "down"
            down.set()

    worker = SourceWorker(
        "camera",
        lambda: Hanging(clock, 0.0),
        keep=1,
        allowed=lambda: True,
        on_change=lambda _, state, __: states.append(state),
        clock=clock,
        ready=threading.Event(),
    )
    worker.start()
    assert down.wait(10.0)
    worker.stop(10.0)
    assert states[:2] == ["degraded", "down"]
