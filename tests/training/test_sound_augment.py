"""Changes of a waveform keep it a waveform and do what they say."""

import numpy as np
import pytest
from training import sound_augment as change

RNG_SEED = 11
TONE = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(RNG_SEED)


def test_augment_sound_finite_and_repeatable():
    noises = [np.random.default_rng(0).normal(size=30_000).astype(np.float32)]
    for seed in range(20):
        one, other = (change.augment_sound(TONE, noises, np.random.default_rng(seed)) for _ in range(2))
        assert one.dtype == np.float32
        assert np.isfinite(one).all()
        assert (one == other).all()


def test_change_speed_shortens_and_raises_pitch():
    faster = change.change_speed(TONE, 1.1)
    assert len(faster) == round(len(TONE) / 1.1)
    peak_hz = np.abs(np.fft.rfft(faster)).argmax() * 16_000 / len(faster)
    assert peak_hz == pytest.approx(484, abs=3)


def test_add_noise_has_the_ratio_asked_for(rng):
    noise = rng.normal(size=5_000).astype(np.float32)
    added = change.add_noise(TONE, noise, 10.0, rng) - TONE
    ratio_db = 10 * np.log10((TONE**2).mean() / (added**2).mean())
    assert ratio_db == pytest.approx(10, abs=0.5)


def test_place_in_window_keeps_the_sound_whole(rng):
    window = change.place_in_window(TONE, rng)
    assert len(window) == change.WINDOW
    assert (window**2).sum() == pytest.approx((TONE**2).sum(), rel=1e-5)
    long = np.ones(change.WINDOW + 5, dtype=np.float32)
    assert change.place_in_window(long, rng) is long


def test_equalise_and_reverberate_keep_the_length(rng):
    assert len(change.equalise(TONE, rng)) == len(change.reverberate(TONE, rng)) == len(TONE)
