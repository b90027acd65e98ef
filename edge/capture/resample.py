"""Resampling and cleaning of a live stream of sound, without a seam at the block borders.

`scipy.signal.resample_poly` works on whole signals. Here each block is resampled together with some of what came
before and some of what follows, and only the middle is kept: the result equals that of the whole signal, sample for
sample. (PyAV's resampler streams as well, but PyAV is no part of a device's installation, and SciPy is.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import butter, resample_poly, sosfilt

from edge.capture.base import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

HIGH_PASS_HZ = 80.0
"""Below the lowest voices; desks, engines and mains hum live there."""

FILTER_HALF_LENGTH = 10
"""`resample_poly`'s filter reaches this many samples of the slower of the two rates to each side (SciPy's default)."""


class StreamResampler:
    """Any rate to 16 kHz. Holds back less than 0.1 s, until what follows is known."""

    def __init__(self, rate: int) -> None:
        common = math.gcd(rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // common, rate // common
        reach = FILTER_HALF_LENGTH * max(1, math.ceil(self._down / self._up))
        # A multiple of `down`, so that the part to be cut off is a whole number of samples at 16 kHz.
        self._context = math.ceil(reach / self._down) * self._down
        self._held = np.zeros(self._context, np.float32)

    def feed(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (N,) at the input rate, return what is ready at 16 kHz."""
        if self._up == self._down:
            return pcm
        held = np.concatenate([self._held, pcm])
        ready = (len(held) - 2 * self._context) // self._down * self._down
        if ready <= 0:
            self._held = held
            return np.zeros(0, np.float32)
        whole = resample_poly(held[: ready + 2 * self._context], self._up, self._down)
        start = self._context // self._down * self._up
        self._held = held[ready:]
        return np.asarray(whole[start : start + ready // self._down * self._up], dtype=np.float32)


class HighPass:
    """A second-order Butterworth high-pass at 80 Hz, 16 kHz, that keeps its state from block to block."""

    def __init__(self) -> None:
        self._sections = butter(2, HIGH_PASS_HZ, "highpass", fs=SAMPLE_RATE, output="sos")
        self._state = np.zeros((len(self._sections), 2))

    def feed(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the filtered block, (N,) like `pcm`, clipped to [-1, 1]."""
        filtered, self._state = sosfilt(self._sections, pcm, zi=self._state)
        return np.asarray(np.clip(filtered, -1.0, 1.0), dtype=np.float32)
