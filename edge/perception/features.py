"""Log-mel features of speech: what both speech models eat, on the device, in training and in the cloud.

The chain is: PCM -> log-mel (python-speech-features) -> floor -> level normalisation -> exactly `FRAMES` rows.
Filter bank and pre-emphasis follow python-speech-features' `logfbank` (HTK mel scale); window and hop are longer than
the usual 25/10 ms because emotion lives in pitch and prosody: 40 ms with a 1024-point FFT resolves the harmonics of a
voice in the low bands, and a 16 ms hop keeps a 3 s window under 12 kB as int8, which is what evidence carries.
"""

from __future__ import annotations

import numpy as np
import python_speech_features
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz. All sound is resampled to this rate, mono, before it comes here."""

N_MELS = 64
FRAMES = 186
"""Rows of one model input: 1 + ceil((3.0 s * 16000 - 640) / 256)."""

WINDOW_SAMPLES = 640
HOP_SAMPLES = 256
FFT_SIZE = 1024
LOW_HZ = 50.0
HIGH_HZ = 8000.0
PREEMPHASIS = 0.97

FLOOR_BELOW_PEAK = 80.0 / 10.0 * float(np.log(10.0))
"""Natural-log units: values more than 80 dB below the loudest one are floored, or digital silence makes wild logs."""

ACTIVE_BELOW_PEAK = 35.0 / 10.0 * float(np.log(10.0))
"""Natural-log units: frames within 35 dB of the loudest count as active; only they set the level."""

SILENCE = -4.0
"""Normalised value of silence and of padding."""

LIMIT = 4.0
"""Normalised features are clipped to [-LIMIT, LIMIT], the range that int8 inputs cover."""

MIN_SAMPLES = WINDOW_SAMPLES
"""The shortest signal that has one whole frame; shorter ones are padded with zeros to it."""


def log_mel(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the floored log-mel spectrogram, shape (T, 64), float32, natural-log power.

    `pcm` is mono at 16 kHz, shape (N,), floats in [-1, 1]. T = 1 + ceil(max(N - 640, 0) / 256).

    Raises ValueError if `pcm` is not one-dimensional.
    """
    if pcm.ndim != 1:
        raise ValueError(f"log_mel takes mono sound of shape (N,), not {pcm.shape}")
    if len(pcm) < MIN_SAMPLES:
        pcm = np.pad(pcm, (0, MIN_SAMPLES - len(pcm)))
    energies, _ = python_speech_features.fbank(
        pcm,
        samplerate=SAMPLE_RATE,
        winlen=WINDOW_SAMPLES / SAMPLE_RATE,
        winstep=HOP_SAMPLES / SAMPLE_RATE,
        nfilt=N_MELS,
        nfft=FFT_SIZE,
        lowfreq=LOW_HZ,
        highfreq=HIGH_HZ,
        preemph=PREEMPHASIS,
        winfunc=np.hamming,
    )
    mel = np.log(energies)  # fbank has put the smallest float in place of zeros; logfbank itself takes no window
    floored = np.maximum(mel, mel.max() - FLOOR_BELOW_PEAK)
    return np.asarray(floored, dtype=np.float32)


def normalise_level(mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove the recording level: zero mean and unit deviation over the active frames, clipped to [-4, 4].

    One mean and one deviation for all bands, so that the spectral tilt, which carries arousal, survives. Frames more
    than 35 dB under the loudest do not count: a pause in the window must not change how its speech looks.
    A signal without any variation (digital silence) becomes `SILENCE` throughout. Shape (T, 64) in and out.
    """
    level = mel.mean(axis=1)
    active = mel[level >= level.max() - ACTIVE_BELOW_PEAK]
    deviation = float(active.std())
    if deviation < 1e-3:
        return np.full_like(mel, SILENCE)
    return np.asarray(np.clip((mel - active.mean()) / deviation, SILENCE, LIMIT), np.float32)


def fit_frames(mel: NDArray[np.float32], frames: int = FRAMES) -> NDArray[np.float32]:
    """Return exactly `frames` rows: centred in silence if `mel` is shorter, its loudest stretch if it is longer."""
    missing = frames - len(mel)
    if missing >= 0:
        before = missing // 2
        return np.pad(mel, ((before, missing - before), (0, 0)), constant_values=SILENCE)
    total = np.concatenate([[0.0], np.cumsum(mel.mean(axis=1), dtype=np.float64)])
    start = int(np.argmax(total[frames:] - total[:-frames]))
    return mel[start : start + frames]


def speech_features(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the input of the speech models for one window of sound: shape (186, 64), float32 in [-4, 4].

    Any length of `pcm` is accepted: short sound is padded, never rejected.
    """
    return fit_frames(normalise_level(log_mel(pcm)))
