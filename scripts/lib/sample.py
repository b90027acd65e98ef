"""The demo's own sample: a portrait that moves, with a made-up voice. Nobody is filmed or recorded for it.

The portrait is scikit-image's `astronaut` (NASA, public domain). The voice is a formant synthesis in the manner of
Klatt 1980: pulses at the pitch of a voice through four resonances per vowel, in syllables with pauses.
"""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import scipy.signal
import skimage.data
from numpy.typing import NDArray

RATE = 16_000
FPS = 10
SECONDS = 9.0
WIDTH, HEIGHT = 480, 360

VOWELS = ((730, 1090, 2440, 3400), (270, 2290, 3010, 3500), (530, 1840, 2480, 3500), (570, 840, 2410, 3300))
"""Formants in Hz of a, i, e, o; the first three after Peterson & Barney 1952."""
BANDWIDTHS = (60, 90, 150, 200)
SYLLABLE_S = 0.22
PAUSE_EVERY = 7


def make_sample(path: Path) -> str:
    """Write the sample to `path` and return its name."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", 2_000_000
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for image in moving_portrait():
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        sound = av.AudioFrame.from_ndarray((voice() * 32767).astype(np.int16)[None], format="s16", layout="mono")
        sound.sample_rate = RATE
        container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return str(path)


def moving_portrait() -> list[NDArray[np.uint8]]:
    """Return the frames, (360, 480, 3) RGB: the portrait drifts, tilts and comes nearer, as a person would."""
    portrait = skimage.data.astronaut()[:360, :480]
    frames = []
    for index in range(int(SECONDS * FPS)):
        phase = 2 * np.pi * index / (SECONDS * FPS)
        turn = cv2.getRotationMatrix2D((225, 120), 6 * np.sin(2 * phase), 1.15 + 0.1 * np.sin(phase))
        turn[:, 2] += 12 * np.sin(3 * phase), 8 * np.cos(phase) + 30
        moved = cv2.warpAffine(portrait, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        frames.append(np.asarray(moved, np.uint8))
    return frames


def voice(seed: int = 7) -> NDArray[np.float32]:
    """Return the sound, (N,) at 16 kHz, in [-1, 1]: syllables of changing vowel, pitch and loudness."""
    random = np.random.default_rng(seed)
    syllables = []
    for index in range(int(SECONDS / SYLLABLE_S)):
        samples = int(SYLLABLE_S * RATE)
        if index % PAUSE_EVERY == PAUSE_EVERY - 1:
            syllables.append(np.zeros(samples))
        else:
            syllables.append(_syllable(VOWELS[random.integers(len(VOWELS))], random.uniform(140, 230), samples, random))
    sound = np.concatenate(syllables)
    sound += random.normal(0.0, 1e-3, len(sound))
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def _syllable(
    formants: tuple[int, ...], pitch_hz: float, samples: int, random: np.random.Generator
) -> NDArray[np.float64]:
    glide = pitch_hz * np.linspace(1.1, 0.9, samples)
    phase = np.cumsum(glide / RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0) + random.normal(0.0, 0.01, samples)
    for frequency, bandwidth in zip(formants, BANDWIDTHS, strict=True):
        radius = np.exp(-np.pi * bandwidth / RATE)
        poles = [1.0, -2.0 * radius * np.cos(2.0 * np.pi * frequency / RATE), radius**2]
        pulses = scipy.signal.lfilter([sum(poles)], poles, pulses)
    return np.asarray(pulses * np.hanning(samples) ** 0.5)
