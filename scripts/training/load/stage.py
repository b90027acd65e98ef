"""Fast time for a daemon that knows nothing of it: sources and clock in lockstep.

The daemon's loop calls `Stage.turn` at each of its turns. That moves the clock one step on and waits until the threads
of all open sources have handed over what fell due, so that nothing is dropped however fast the machine is, and no time
passes while nothing happens. The pause before a source is opened again is the one thing that takes real time, in which
simulated hours could pass: so a source may be away for `AWAY_S`, and then time stands still until it is back.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.capture.base import SAMPLE_RATE, Frame, Sound
from edge.clock import FakeClock
from edge.errors import CaptureError

PATIENCE_S = 10.0
"""Seconds of real time for which a source's thread is waited for."""

AWAY_S = 3.0
"""Simulated seconds for which a source may be closed before time stands still."""

BACK_S = 120.0
"""Seconds of real time within which it must be open again."""

Item_co = TypeVar("Item_co", bound=Frame | Sound, covariant=True)


class Maker(Protocol[Item_co]):
    """Makes item `number` of a source, stamped `time_s`."""

    def __call__(self, number: int, time_s: float) -> Item_co:
        """Return it."""


class Stage:
    """The time of one simulation, in steps of `step_s` seconds, for so many `players`: sources that belong open."""

    def __init__(self, clock: FakeClock, *, step_s: float, players: int) -> None:
        self.clock, self.step_s, self._players = clock, step_s, players
        self._complete_at = clock.monotonic()
        self.changed = threading.Condition()
        self.sources: list[StagedSource[Frame | Sound]] = []

    def turn(self) -> None:
        """Let one step of time pass and wait until everything that fell due in it was read.

        Raises TimeoutError if a source that is away does not come back.
        """
        with self.changed:
            self.clock.advance(self.step_s)
            self.changed.notify_all()
            self.changed.wait_for(lambda: all(source.settled() for source in self.sources), PATIENCE_S)
            now = self.clock.monotonic()
            if not self._complete() and now - self._complete_at >= AWAY_S:
                self.changed.wait_for(self._complete, BACK_S)
                if not self._complete():
                    raise TimeoutError(f"only {len(self.sources)} of {self._players} sources are open")
            if self._complete():
                self._complete_at = now

    def _complete(self) -> bool:
        return len(self.sources) >= self._players


class StagedSource(Generic[Item_co]):
    """A camera or a microphone on a stage: item k falls due k * `interval_s` after it was opened."""

    def __init__(self, stage: Stage, maker: Maker[Item_co], *, interval_s: float) -> None:
        self._stage, self._maker, self._interval_s = stage, maker, interval_s
        self._next = 0
        self._reading = False
        self._error: CaptureError | None = None
        self.dropped = 0
        """Always 0: nothing falls due before what was due is read."""
        self.trouble = ""
        """Always empty: it works until it is unplugged."""
        with stage.changed:
            self._due_s = stage.clock.monotonic() + interval_s
            stage.sources.append(self)
            stage.changed.notify_all()

    def settled(self) -> bool:
        """Return whether everything due was read, and its reader waits for more."""
        return self._reading and self._due_s > self._stage.clock.monotonic()

    def unplug(self) -> None:
        """From now on every read raises."""
        with self._stage.changed:
            self._error = CaptureError("unplugged by the simulation")
            self._stage.changed.notify_all()

    def read(self, timeout_s: float) -> Item_co | None:
        """See `FrameSource` and `SoundSource`; the timeout counts in real time."""
        clock, changed = self._stage.clock, self._stage.changed
        with changed:
            self._reading = True
            changed.notify_all()
            due = changed.wait_for(lambda: self._error is not None or self._due_s <= clock.monotonic(), timeout_s)
            self._reading = False
            if self._error is not None:
                raise self._error
            if not due:
                return None
            number, time_s = self._next, self._due_s
            self._next, self._due_s = number + 1, time_s + self._interval_s
        return self._maker(number, time_s)

    def close(self) -> None:
        """Leave the stage."""
        with self._stage.changed:
            if self in self._stage.sources:
                self._stage.sources.remove(self)
            self._stage.changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def camera(stage: Stage, frames: NDArray[np.uint8], fps: float) -> StagedSource[Frame]:
    """Return a camera that shows (N, H, W, 3) again and again."""
    return StagedSource(
        stage, lambda number, time_s: Frame(time_s, frames[number % len(frames)].copy()), interval_s=1.0 / fps
    )


def microphone(stage: Stage, pcm: NDArray[np.float32], block_s: float) -> StagedSource[Sound]:
    """Return a microphone that plays (N,) again and again, in blocks of `block_s` seconds."""
    size = round(block_s * SAMPLE_RATE)
    blocks = len(pcm) // size

    def block(number: int, time_s: float) -> Sound:
        start = number % blocks * size
        return Sound(time_s - block_s, pcm[start : start + size].copy())

    return StagedSource(stage, block, interval_s=block_s)
