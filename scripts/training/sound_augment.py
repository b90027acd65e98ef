"""Random changes of a clip's waveform, done before the features: other voices, microphones, rooms and backgrounds.

Loudness is not varied: the features remove it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.perception.features import SAMPLE_RATE

WINDOW = 3 * SAMPLE_RATE
"""Samples of one window on the device: the sound around an utterance is part of what the model sees there."""

SNR_DB = (5.0, 25.0)

Sound = NDArray[np.float32]


def augment_sound(pcm: Sound, noises: Sequence[Sound], rng: Generator) -> Sound:
    """Return a changed copy of `pcm`, mono 16 kHz; of another length if its speed changed or it became a window."""
    pcm = change_speed(pcm, rng.uniform(0.9, 1.12))
    if rng.random() < 0.6:
        pcm = equalise(pcm, rng)
    if rng.random() < 0.3:
        pcm = reverberate(pcm, rng)
    if rng.random() < 0.5:
        pcm = place_in_window(pcm, rng)
    if noises and rng.random() < 0.6:
        pcm = add_noise(pcm, noises[int(rng.integers(len(noises)))], rng.uniform(*SNR_DB), rng)
    return pcm.astype(np.float32)


def change_speed(pcm: Sound, factor: float) -> Sound:
    """Play `factor` times as fast: shorter and higher, as from another speaker. Shape (N,) -> (round(N / factor),)."""
    positions = np.arange(round(len(pcm) / factor)) * factor
    return np.asarray(np.interp(positions, np.arange(len(pcm)), pcm), dtype=np.float32)


def equalise(pcm: Sound, rng: Generator) -> Sound:
    """Colour the spectrum by a smooth random curve of about +-6 dB: microphones and distances."""
    spectrum = np.fft.rfft(pcm)
    knots_db = rng.normal(0.0, 4.0, size=6).clip(-8.0, 8.0)
    curve_db = np.interp(np.linspace(0, 5, len(spectrum)), np.arange(6), knots_db)
    return np.fft.irfft(spectrum * 10 ** (curve_db / 20), n=len(pcm)).astype(np.float32)


def reverberate(pcm: Sound, rng: Generator) -> Sound:
    """Add an exponentially fading noise tail of 0.15 to 0.5 s (RT60) under the direct sound. Keeps the length."""
    decay_s = rng.uniform(0.15, 0.5)
    times = np.arange(int(decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.normal(size=len(times)) * 10 ** (-3 * times / decay_s)
    tail *= rng.uniform(0.2, 0.6) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    size = len(pcm) + len(tail)
    wet = np.fft.irfft(np.fft.rfft(pcm, size) * np.fft.rfft(tail, size), n=size)
    return wet[: len(pcm)].astype(np.float32)


def place_in_window(pcm: Sound, rng: Generator) -> Sound:
    """Put a short clip at a random place of a silent 3 s window; a longer one is returned as it is."""
    room = WINDOW - len(pcm)
    if room <= 0:
        return pcm
    before = int(rng.integers(room + 1))
    return np.pad(pcm, (before, room - before))


def add_noise(pcm: Sound, noise: Sound, snr_db: float, rng: Generator) -> Sound:
    """Mix a random stretch of `noise` under `pcm`, `snr_db` below the mean power of its non-silent samples."""
    repeated = np.tile(noise, 1 + len(pcm) // len(noise))
    start = int(rng.integers(len(repeated) - len(pcm) + 1))
    stretch = repeated[start : start + len(pcm)]
    sounding = pcm[np.abs(pcm) > 1e-4]
    speech_power = float((sounding**2).mean()) if len(sounding) else 0.0
    noise_power = float((stretch**2).mean())
    if noise_power < 1e-10:
        return pcm
    gain = np.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10))
    return np.asarray(pcm + gain * stretch, dtype=np.float32)
