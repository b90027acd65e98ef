"""Is the microphone alive, its gain right? Silence must not pass for a quiet room, nor distortion for anger. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLIPPED = 0.999
"""Samples of at least this size count as clipped."""

SILENT_RANGE = 1e-5
"""A living microphone's samples vary by more than this (-100 dB of full scale): half a step of 16 bits is 1.5e-5, and
the noise of a 24-bit I2S microphone with 61 dB of signal to noise at -26 dB of full scale lies near 4e-5."""
SILENT_AFTER_S = 60.0
"""Some webcams cut quiet sound off to nothing: a minute without a breath is more than a pause."""

LOUD_SHARE = 0.01
"""More clipped samples than this in `LOUD_OVER_S` spoil the spectrum."""
LOUD_OVER_S = 10.0


class LevelWatch:
    """Hears all blocks of a card, of `rate` samples a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.clipped = 0
        """Samples at full scale so far."""
        self._silent_s = 0.0
        self._heard_s = self._clipped_here = 0.0
        self._loud = 0.0

    def hear(self, pcm: NDArray[np.float32]) -> None:
        """Take a block, (N, channels) in [-1, 1] as the card gave it, before anything is filtered."""
        if not len(pcm):
            return
        # Not the peak: a broken I2S line gives a constant that is not zero.
        silent = float(np.ptp(pcm, axis=0).max()) < SILENT_RANGE
        self._silent_s = self._silent_s + len(pcm) / self._rate if silent else 0.0
        clipped = int(np.count_nonzero(np.abs(pcm) >= CLIPPED))
        self.clipped += clipped
        self._heard_s += len(pcm) / self._rate
        self._clipped_here += clipped / pcm.shape[1]
        if self._heard_s >= LOUD_OVER_S:
            self._loud = self._clipped_here / (self._heard_s * self._rate)
            self._heard_s = self._clipped_here = 0.0

    @property
    def trouble(self) -> str:
        """What is wrong, for people; empty if nothing is."""
        if self._silent_s >= SILENT_AFTER_S:
            return f"nothing but silence for {SILENT_AFTER_S:.0f} s: is it muted, or its cable loose?"
        if self._loud > LOUD_SHARE:
            return "more than 1 % of the samples are clipped: turn its gain down"
        return ""
