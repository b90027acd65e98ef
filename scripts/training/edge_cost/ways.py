"""Which ways from frames and sound to emotions stand side by side. Imports nothing heavy but numpy.

Of the student systems only this much is known: a Haar cascade on whole frames, a float net of Keras on every face of
every frame or every tenth, and librosa's features of some seconds of sound before another float net. The cascade's
parameters are the two that their kind uses: those of most tutorials, and OpenCV's own defaults, which cost more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

CAMERA_FPS = 30
"""Of the scene: what a webcam gives, and a program that takes every frame has to bear."""
SOUND_RATE = 22_050
"""Hz: librosa's."""
WINDOW_S = 3.0
"""Seconds of sound that are judged together, here and there."""


class Picture(NamedTuple):
    """One frame."""

    time_s: float
    image: NDArray[np.uint8]
    """(480, 640, 3) BGR."""


class Voice(NamedTuple):
    """The sound of one window, given after its frames."""

    time_s: float
    pcm: NDArray[np.float32]
    """At 16 kHz."""
    wide: NDArray[np.float32]
    """The same at 22.05 kHz."""


class Player(Protocol):
    """What plays a way."""

    @property
    def note(self) -> str:
        """What else is to be said of it."""

    @property
    def faces(self) -> int:
        """How many were found so far."""

    def see(self, picture: Picture) -> None:
        """Take one frame."""


@runtime_checkable
class Hearing(Protocol):
    """What plays a way that knows sound."""

    def hear(self, voice: Voice) -> None:
        """Take one window of sound."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way, by its name in tables."""

    kind: str
    """mien, seeds or fer."""
    every: int
    """Every so manieth frame of `CAMERA_FPS` is looked at."""
    about: str
    haar_scale: float = 0.0
    """`scaleFactor` of detectMultiScale; seeds only."""
    haar_neighbours: int = 0
    """`minNeighbors`."""

    @property
    def fps(self) -> float:
        """Frames per second that are looked at."""
        return CAMERA_FPS / self.every


def _seeds(every: int, about: str, *, scale: float = 1.3, neighbours: int = 5) -> Way:
    return Way(kind="seeds", every=every, about=about, haar_scale=scale, haar_neighbours=neighbours)


WAYS = {
    "mien": Way(kind="mien", every=6, about="Mien's pipeline as the daemon runs it"),
    "seeds": _seeds(1, "the seeds' way, every frame, Haar 1.3/5"),
    "seeds-default": _seeds(1, "the same with OpenCV's defaults, Haar 1.1/3", scale=1.1, neighbours=3),
    "seeds-tenth": _seeds(10, "the same on every tenth frame, Haar 1.3/5"),
    "seeds-5": _seeds(6, "the same at Mien's frame rate, Haar 1.3/5"),
    "fer": Way(kind="fer", every=1, about="the fer package, every frame, no sound"),
    "fer-5": Way(kind="fer", every=6, about="the fer package at Mien's frame rate, no sound"),
}
