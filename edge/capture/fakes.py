"""Cameras and microphones without hardware, for tests and for trying out: scripted, and able to fail on command.

camera = FakeCamera([image], fps=5.0)
camera.unplug()  # from any thread: the next read raises CaptureError
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import numpy as np

from edge.capture.base import SAMPLE_RATE, Frame, Sound
from edge.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from numpy.typing import NDArray


class _FakeSource:
    """Time and trouble: item k is due k * `interval_s` after the start, and comes at once unless `realtime`."""

    def __init__(self, interval_s: float, *, realtime: bool, start_s: float | None) -> None:
        self._interval_s = interval_s
        self._realtime = realtime
        self._start_s = time.monotonic() if start_s is None else start_s
        self._next = 0
        self._changed = threading.Condition()
        self._hanging = False
        self._error: CaptureError | None = None
        self.dropped = 0
        """Items that were due but never read."""
        self.trouble = ""
        """Set it to what the fake shall complain of while it goes on."""
        self.closed = False

    def hang(self) -> None:
        """From now on give nothing, as a wedged driver does."""
        with self._changed:
            self._hanging = True

    def resume(self) -> None:
        """End a hang."""
        with self._changed:
            self._hanging = False
            self._changed.notify_all()

    def unplug(self) -> None:
        """From now on every read raises, as when the cable is pulled."""
        self.fail(CaptureError("the fake was unplugged"))

    def fail(self, error: CaptureError) -> None:
        """From now on every read raises `error`."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def close(self) -> None:
        """Note that the device was given back."""
        self.closed = True
        self.fail(CaptureError("the fake is closed"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, timeout_s: float, count: int | None) -> int | None:
        """Return the number of the item to be given now, or None if none is due in time."""
        until_s = time.monotonic() + timeout_s
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                over = count is not None and self._next >= count
                wait_s = self._wait_s(until_s, over=over)
                if wait_s <= 0.0:
                    self._next += 1
                    return self._next - 1
                left_s = until_s - time.monotonic()
                if left_s <= 0.0:
                    return None
                self._changed.wait(min(wait_s, left_s))

    def _wait_s(self, until_s: float, *, over: bool) -> float:
        now_s = time.monotonic()
        if self._hanging or over:
            return max(until_s - now_s, 1e-3)
        return self._start_s + self._next * self._interval_s - now_s if self._realtime else 0.0


class FakeCamera(_FakeSource):
    """A FrameSource that shows `images`, each (H, W, 3) BGR or (H, W) gray, at `fps`; again and again if `loop`.

    Frame k is stamped `start_s` + k / fps, `start_s` being the time of construction by default. With `realtime` frames
    come when they are due and late readers miss some, as with a real camera; without, each read gives the next frame.
    """

    def __init__(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        fps: float = 5.0,
        loop: bool = True,
        realtime: bool = False,
        start_s: float | None = None,
    ) -> None:
        super().__init__(1.0 / fps, realtime=realtime, start_s=start_s)
        self._images = images
        self._loop = loop

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None if none is due within `timeout_s` seconds. Raises what `fail` was given."""
        if self._realtime:
            late = int((time.monotonic() - self._start_s) / self._interval_s) - self._next
            self._next += max(0, late)
            self.dropped += max(0, late)
        number = self._take(timeout_s, None if self._loop else len(self._images))
        if number is None:
            return None
        return Frame(self._start_s + number * self._interval_s, self._images[number % len(self._images)].copy())


class FakeMicrophone(_FakeSource):
    """A SoundSource that plays `pcm`, (N,) mono 16 kHz in [-1, 1], in blocks of `block_s`; again and again if `loop`.

    Stamped and paced like `FakeCamera`, but late readers miss nothing.
    """

    def __init__(
        self,
        pcm: NDArray[np.float32],
        *,
        block_s: float = 0.1,
        loop: bool = True,
        realtime: bool = False,
        start_s: float | None = None,
    ) -> None:
        super().__init__(block_s, realtime=realtime, start_s=start_s)
        size = round(block_s * SAMPLE_RATE)
        self._blocks = [pcm[start : start + size] for start in range(0, len(pcm), size)]
        self._loop = loop

    def read(self, timeout_s: float) -> Sound | None:
        """Return the next block, or None if none is due within `timeout_s` seconds. Raises what `fail` was given."""
        number = self._take(timeout_s, None if self._loop else len(self._blocks))
        if number is None:
            return None
        block = self._blocks[number % len(self._blocks)]
        return Sound(self._start_s + number * self._interval_s, np.array(block, dtype=np.float32))
