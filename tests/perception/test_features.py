from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.perception.features import (
    FRAMES,
    LIMIT,
    N_MELS,
    SILENCE,
    fit_frames,
    log_mel,
    normalise_level,
    speech_features,
)

RATE = 16_000


def tone(hz: float, seconds: float, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


@given(st.integers(0, 80_000), st.floats(0.0, 1.0))
def test_any_length_and_level_gives_one_model_input(samples: int, level: float) -> None:
    noise = np.random.default_rng(samples).normal(0, level / 3, samples).astype(np.float32)
    features = speech_features(noise)
    assert features.shape == (FRAMES, N_MELS)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert features.min() >= SILENCE
    assert features.max() <= LIMIT


def test_three_seconds_are_exactly_one_input() -> None:
    assert len(log_mel(tone(440, 3.0))) == FRAMES


def test_level_does_not_matter() -> None:
    voice = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32) * np.hanning(3 * RATE).astype(
        np.float32
    )
    loud, quiet = speech_features(voice), speech_features(voice / 30.0)
    np.testing.assert_allclose(loud, quiet, atol=0.02)


def test_pauses_do_not_change_how_the_speech_looks() -> None:
    voice = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    silence = np.zeros(2 * RATE, np.float32)
    alone = normalise_level(log_mel(voice))
    with_pause = normalise_level(log_mel(np.concatenate([voice, silence])))
    np.testing.assert_allclose(alone[5:55], with_pause[5:55], atol=0.2)


def test_silence_is_silence() -> None:
    assert (speech_features(np.zeros(RATE, np.float32)) == SILENCE).all()


def test_low_and_high_tones_land_in_low_and_high_bands() -> None:
    assert log_mel(tone(200, 1.0)).mean(axis=0).argmax() < 10
    assert log_mel(tone(6000, 1.0)).mean(axis=0).argmax() > 50


def test_long_sound_keeps_its_loudest_stretch() -> None:
    mel = np.full((400, N_MELS), -2.0, np.float32)
    mel[150:300] = 1.0
    kept = fit_frames(mel)
    assert len(kept) == FRAMES
    assert (kept == 1.0).all(axis=1).sum() == 150


def test_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match="mono"):
        log_mel(np.zeros((2, RATE), np.float32))
