"""What every source of frames or sound gives, and how it is read.

Live sources stamp with the monotonic clock (`time.monotonic()`, seconds, never the wall clock, which jumps when NTP
arrives); a media file stamps with the time since its start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz of every `Sound`."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture."""

    time_s: float
    """When it was taken: monotonic clock of a live source, or time since the start of a media file."""
    image: NDArray[np.uint8]
    """(H, W, 3) BGR or (H, W) gray. Its reader owns it."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """One block of sound."""

    time_s: float
    """When its first sample was heard, on the clock of `Frame.time_s`."""
    pcm: NDArray[np.float32]
    """(N,) mono at 16 kHz, in [-1, 1]."""

    @property
    def end_s(self) -> float:
        """When its last sample ended."""
        return self.time_s + len(self.pcm) / SAMPLE_RATE


class Source(Protocol):
    """What live sources have in common: they are open once constructed, and closed by `close` or the `with` block.

    A source that failed stays failed: close it and construct another one.
    """

    @property
    def dropped(self) -> int:
        """Items that were overwritten or thrown away because nobody read them in time."""
        ...

    @property
    def trouble(self) -> str:
        """What is wrong with a source that does give items, such as silence; empty if nothing is."""
        ...

    def close(self) -> None:
        """Release the device; harmless when done twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FrameSource(Source, Protocol):
    """A live camera."""

    def read(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not read yet, or None if none came within `timeout_s` seconds.

        Raises a CaptureError once the device is lost; None says only that it is slow.
        """
        ...


class SoundSource(Source, Protocol):
    """A live microphone."""

    def read(self, timeout_s: float) -> Sound | None:
        """Return the oldest block not read yet, or None if none came within `timeout_s` seconds.

        Raises a CaptureError once the device is lost; None says only that it is slow.
        """
        ...
