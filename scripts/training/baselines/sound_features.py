"""The features of the papers: ZCR, chroma, MFCC, RMS and mel, per frame and as means over a clip.

Definitions follow librosa, which Mien does without (McFee et al. 2015, "librosa: Audio and music signal analysis in
Python"), but for three: HTK's mel scale as in python-speech-features, frames of 64 ms every 32 ms at
16 kHz, and each FFT bin counting for the one pitch class that is nearest to it.

All functions take mono sound at 16 kHz, (N,) float32 in [-1, 1]; T is the number of frames, at least 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import python_speech_features
from numpy.typing import NDArray
from scipy.fft import dct

from edge.perception.features import SAMPLE_RATE

Sound = NDArray[np.float32]
Values = NDArray[np.float64]

FRAME = 1024
HOP = 512
FFT_SIZE = 2048
"""Longer than a frame: with 1024 points the lowest of 128 mel bands would be narrower than a bin, and empty."""

FRAMES = 94
"""Frames of 3 s, where a net takes frames; longer clips are cut, shorter ones padded with silence."""

N_MFCC = 40
N_MEL = 128
N_MEL_FRAMES = 64
"""Mel bands of means, and of frames."""

N_CHROMA = 12
A4_HZ = 440.0
CHROMA_HZ = (65.0, 5000.0)
"""Frequencies that chroma counts: from C2, below which bins are wider than whole tones."""

FLOOR_DB = 80.0
"""Decibels below the loudest value at which a clip's values are cut off."""


def frames(pcm: Sound) -> Values:
    """Return the frames, (T, 1024); T = 1 + max(N - 1024, 0) // 512. Zeros follow what is shorter than a frame."""
    if len(pcm) < FRAME:
        pcm = np.pad(pcm, (0, FRAME - len(pcm)))
    return np.lib.stride_tricks.sliding_window_view(pcm.astype(np.float64), FRAME)[::HOP]


def zero_crossing_rate(pcm: Sound) -> Values:
    """Return per frame the share of neighbouring samples with different signs, (T,) in [0, 1]; 0 counts as positive."""
    negative = np.signbit(frames(pcm))
    return np.asarray((negative[:, 1:] != negative[:, :-1]).mean(axis=1))


def root_mean_square(pcm: Sound) -> Values:
    """Return √(mean of x²) per frame, (T,)."""
    return np.asarray(np.sqrt((frames(pcm) ** 2).mean(axis=1)))


def power_spectrogram(pcm: Sound) -> Values:
    """Return |FFT|² of the frames under a Hann window, (T, 1025)."""
    return np.asarray(np.abs(np.fft.rfft(frames(pcm) * np.hanning(FRAME), FFT_SIZE)) ** 2)


def mel_power(power: Values, bands: int) -> Values:
    """Sum a power spectrogram (T, 1025) under `bands` triangles evenly spaced in mel from 0 to 8 kHz: (T, bands)."""
    return np.asarray(power @ _mel_filters(bands).T)


def decibels(power: Values) -> Values:
    """Return 10 log10 of power, floored 80 dB below the largest value; the same shape. Silence is -100 dB."""
    level = 10 * np.log10(np.maximum(power, 1e-10))
    return np.asarray(np.maximum(level, level.max() - FLOOR_DB))


def cepstrum(mel_db: NDArray[np.floating], coefficients: int = N_MFCC) -> Values:
    """Return MFCCs, the first of the orthonormal DCT-II over the bands: (T, bands) -> (T, coefficients)."""
    return np.asarray(dct(mel_db, type=2, norm="ortho", axis=1)[:, :coefficients])


def chroma(power: Values) -> Values:
    """Return how strong each pitch class is, relative to the frame's strongest: (T, 1025) -> (T, 12), C first, A tenth.

    The class of a bin is round(12 log2(f / 440 Hz)) + 9 modulo 12 (Müller 2015, "Fundamentals of Music Processing").
    """
    strength = power @ _pitch_classes().T
    return np.asarray(strength / np.maximum(strength.max(axis=1, keepdims=True), 1e-10))


@cache
def _mel_filters(bands: int) -> Values:
    return np.asarray(python_speech_features.get_filterbanks(bands, FFT_SIZE, SAMPLE_RATE))


@cache
def _pitch_classes() -> Values:
    """Return a matrix (12, 1025) of 0 and 1."""
    hertz = np.fft.rfftfreq(FFT_SIZE, 1 / SAMPLE_RATE)
    lowest, highest = CHROMA_HZ
    counted = (hertz >= lowest) & (hertz <= highest)
    classes = np.full(len(hertz), -1)
    classes[counted] = (np.round(12 * np.log2(hertz[counted] / A4_HZ)).astype(int) + 9) % N_CHROMA
    return np.asarray(classes == np.arange(N_CHROMA)[:, np.newaxis], dtype=np.float64)


ZCR, CHROMA, MFCC, RMS, MEL = (
    slice(0, 1),
    slice(1, 13),
    slice(13, 53),
    slice(53, 54),
    slice(54, 182),
)
"""Where the means stand in `means`."""


def means(pcm: Sound) -> NDArray[np.float32]:
    """Return the means over all frames of ZCR, 12 chroma, 40 MFCC, RMS and 128 mel powers: (182,)."""
    power = power_spectrogram(pcm)
    mel = mel_power(power, N_MEL)
    columns = [
        zero_crossing_rate(pcm)[:, np.newaxis],
        chroma(power),
        cepstrum(decibels(mel)),
        root_mean_square(pcm)[:, np.newaxis],
        mel,
    ]
    return np.concatenate([column.mean(axis=0) for column in columns]).astype(np.float32)


def mfcc_means(pcm: Sound) -> NDArray[np.float32]:
    """Return the MFCCs of `means` alone: (40,)."""
    coefficients = cepstrum(decibels(mel_power(power_spectrogram(pcm), N_MEL)))
    return np.asarray(coefficients.mean(axis=0), dtype=np.float32)


def log_mel(pcm: Sound) -> NDArray[np.float32]:
    """Return 64 mel bands in dB of the first 3 s, (94, 64); where the sound is shorter, its floor follows."""
    level = decibels(mel_power(power_spectrogram(pcm), N_MEL_FRAMES))[:FRAMES]
    missing = FRAMES - len(level)
    padded = np.pad(level, ((0, missing), (0, 0)), constant_values=level.min())
    return np.asarray(padded, dtype=np.float32)
