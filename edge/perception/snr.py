"""How far a voice stands out of the sound around it, from the frames of the voice activity detector. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.perception.vad import HOP, SPEECH_PROBABILITY, WINDOW

LOWEST_DB, HIGHEST_DB = -10.0, 40.0
"""Beyond these nothing more is to be learned from the ratio, and digital silence would make it infinite."""

SPREAD = 3
"""Frames around voiced ones that count as neither: onsets, endings and the room's echo."""

FEWEST_FRAMES = 8
"""Frames between the words that are enough to know the background by; with fewer, the quietest stand in."""

QUIETEST = 0.05


def snr_db(pcm: NDArray[np.float32], probability: NDArray[np.float32]) -> float | None:
    """Return the signal-to-noise ratio in dB, in [-10, 40]; None where no frame has a voice.

    `pcm` is mono at 16 kHz, (N,); `probability` (T,) is `speech_probability` of it. The noise is the mean power of
    the frames without voice, the signal the mean power of those with one, less the noise.
    """
    voiced = probability >= SPEECH_PROBABILITY
    if not voiced.any():
        return None
    power = _frame_power(pcm, len(probability))
    # Not mode="same": of a scrap of sound, as at the end of a session, that would be longer than the scrap.
    near = np.convolve(voiced, np.ones(2 * SPREAD + 1))[SPREAD:-SPREAD] > 0
    silent = power[~near]
    enough = len(silent) >= FEWEST_FRAMES
    noise = float(silent.mean() if enough else np.quantile(power, QUIETEST)) + 1e-12
    signal = max(float(power[voiced].mean()) - noise, noise * 10.0 ** (LOWEST_DB / 10.0))
    return float(np.clip(10.0 * np.log10(signal / noise), LOWEST_DB, HIGHEST_DB))


def _frame_power(pcm: NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    """Return the mean square of each 40 ms frame, (frames,), one every 20 ms."""
    energy = np.concatenate([[0.0], np.cumsum(pcm.astype(np.float64) ** 2)])
    starts = np.arange(frames) * HOP
    ends = np.minimum(starts + WINDOW, len(pcm))
    return np.asarray((energy[ends] - energy[starts]) / np.maximum(ends - starts, 1))
