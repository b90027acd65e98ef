"""The changes of the waveform that the papers made: noise, shift, stretch, pitch, and matching to a clean reference.

How strong they are, and how one and the other are put together, was chosen here.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import istft, stft

from edge.perception.features import SAMPLE_RATE

Sound = NDArray[np.float32]

WINDOW = 1024
HOP = 256

NOISE_SHARE = 0.035
"""Largest deviation of the noise, as a share of the sound's peak."""

SHIFT_S = 0.2
STRETCH = (0.8, 1.25)
SEMITONES = 2.0

REFERENCE_S = 2.1
REFERENCE_RMS = 10 ** (-25 / 20)
"""Length and level of the clean reference; the clips of TESS, from a studio, have 2.0 s and -30 dB on average."""

MOST_STRETCH = 2.5
"""Beyond, a phase vocoder sounds like nothing that was ever spoken."""

COPIES = 3
"""Examples made of one clip: itself, with noise, with another speed and pitch."""


def copy_of(pcm: Sound, copy: int, rng: Generator) -> Sound:
    """Return copy 0, 1 or 2 of a clip: itself; shifted, with noise; stretched, at another pitch."""
    if copy == 0:
        return pcm
    if copy == 1:
        return add_noise(shift(pcm, rng), rng)
    return change_pitch(stretch(pcm, rng.uniform(*STRETCH)), rng.uniform(-SEMITONES, SEMITONES))


def add_noise(pcm: Sound, rng: Generator) -> Sound:
    """Add white noise of a random level up to NOISE_SHARE of the peak."""
    deviation = NOISE_SHARE * rng.uniform() * np.abs(pcm).max(initial=0.0)
    return np.asarray(pcm + deviation * rng.normal(size=len(pcm)), dtype=np.float32)


def shift(pcm: Sound, rng: Generator) -> Sound:
    """Move the sound by up to SHIFT_S; what leaves at one end comes in at the other."""
    most = int(SHIFT_S * SAMPLE_RATE)
    return np.roll(pcm, int(rng.integers(-most, most + 1)))


def stretch(pcm: Sound, rate: float) -> Sound:
    """Play `rate` times as fast at the same pitch, with a phase vocoder: (N,) -> (round(N / rate),).

    Flanagan and Golden 1966; as in Laroche and Dolson 1999: magnitudes are interpolated between frames, phases go on by
    the advance between them.
    """
    padded = np.pad(pcm, (0, max(WINDOW - len(pcm), 0)))
    _, _, spectrum = stft(padded, nperseg=WINDOW, noverlap=WINDOW - HOP)
    spectrum = np.pad(spectrum, ((0, 0), (0, 2)))
    steps = np.arange(0, spectrum.shape[1] - 2, rate)
    left = steps.astype(int)
    part = steps - left
    magnitude = (1 - part) * np.abs(spectrum[:, left]) + part * np.abs(spectrum[:, left + 1])
    expected = 2 * np.pi * HOP / WINDOW * np.arange(spectrum.shape[0])[:, np.newaxis]
    surplus = np.angle(spectrum[:, left + 1]) - np.angle(spectrum[:, left]) - expected
    advance = expected + surplus - 2 * np.pi * np.round(surplus / (2 * np.pi))
    start = np.angle(spectrum[:, :1])
    phase = start + np.concatenate([np.zeros_like(start), np.cumsum(advance[:, :-1], axis=1)], axis=1)
    _, sound = istft(magnitude * np.exp(1j * phase), nperseg=WINDOW, noverlap=WINDOW - HOP)
    return _of_length(sound, round(len(pcm) / rate))


def change_pitch(pcm: Sound, semitones: float) -> Sound:
    """Raise (or lower) the pitch and keep the length: stretched, then played faster (or slower)."""
    factor = 2 ** (semitones / 12)
    longer = stretch(pcm, 1 / factor)
    positions = np.arange(len(pcm)) * factor
    return np.asarray(np.interp(positions, np.arange(len(longer)), longer, right=0.0), dtype=np.float32)


def match_reference(pcm: Sound) -> Sound:
    """Return the sound with the reference's length and level (RMS); silence stays silence.

    It is stretched by up to MOST_STRETCH; what is still longer is cut, what is still shorter padded.
    """
    length = round(REFERENCE_S * SAMPLE_RATE)
    rate = min(max(len(pcm) / length, 1 / MOST_STRETCH), MOST_STRETCH)
    matched = _of_length(stretch(pcm, rate), length)
    level = float(np.sqrt((matched.astype(np.float64) ** 2).mean()))
    return np.asarray(matched * (REFERENCE_RMS / max(level, 1e-6)), dtype=np.float32)


def _of_length(sound: NDArray[np.floating], length: int) -> Sound:
    return np.pad(sound[:length], (0, max(length - len(sound), 0))).astype(np.float32)
