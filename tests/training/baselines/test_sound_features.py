"""Features against values worked out by hand."""

import numpy as np
import pytest
from training.baselines import sound_changes, sound_features
from training.baselines.examples import MAKERS

RATE = 16_000


def tone(hertz: float, seconds: float = 1.0, peak: float = 1.0) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return (peak * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def test_zcr_of_a_sine_is_two_crossings_a_period():
    rates = sound_features.zero_crossing_rate(tone(1000.0))
    assert rates.shape == (1 + (RATE - 1024) // 512,)
    assert rates == pytest.approx(2 * 1000 / RATE, abs=0.002)


def test_rms_of_a_sine_is_its_peak_over_root_two():
    assert sound_features.root_mean_square(tone(1000.0, peak=0.5)) == pytest.approx(0.5 / np.sqrt(2), abs=1e-4)


@pytest.mark.parametrize(("hertz", "pitch_class"), [(440.0, 9), (880.0, 9), (261.63, 0), (1174.66, 2)])
def test_chroma_of_a_pure_tone_peaks_at_its_pitch_class(hertz, pitch_class):
    chroma = sound_features.chroma(sound_features.power_spectrogram(tone(hertz)))
    assert (chroma.argmax(axis=1) == pitch_class).all()
    assert chroma.max() == pytest.approx(1.0)


def test_cepstrum_of_level_bands_is_their_level_alone():
    cepstrum = sound_features.cepstrum(np.full((3, 64), -20.0))
    assert cepstrum[:, 0] == pytest.approx(-20.0 * np.sqrt(64))
    assert cepstrum[:, 1:] == pytest.approx(0.0)


def test_no_mel_band_is_empty():
    assert (sound_features.mel_power(np.ones((1, 1025)), 128) > 0).all()


@pytest.mark.parametrize("samples", [1, 1000, 20_000, 100_000])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("mfcc_means", (1, 40)),
        ("means", (1, 162)),
        ("matched_means", (1, 180)),
        ("mfcc_frames", (94, 40)),
        ("log_mel", (94, 64)),
    ],
)
def test_any_length_gives_the_same_shape(kind, shape, samples):
    features = MAKERS[kind](tone(300.0, samples / RATE))
    assert features.shape == shape
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_stretch_keeps_the_pitch_and_changes_the_length():
    slower = sound_changes.stretch(tone(440.0, 2.0), 0.8)
    assert len(slower) == 40_000
    assert strongest_hertz(slower) == pytest.approx(440, abs=2)


def test_change_pitch_keeps_the_length():
    higher = sound_changes.change_pitch(tone(440.0, 2.0), 2.0)
    assert len(higher) == 32_000
    assert strongest_hertz(higher) == pytest.approx(440 * 2 ** (2 / 12), abs=2)


def test_match_reference_sets_length_and_level():
    matched = sound_changes.match_reference(tone(300.0, 1.4, peak=0.01))
    assert len(matched) == round(sound_changes.REFERENCE_S * RATE)
    assert np.sqrt((matched.astype(float) ** 2).mean()) == pytest.approx(sound_changes.REFERENCE_RMS, rel=1e-3)


def strongest_hertz(sound: np.ndarray) -> float:
    middle = sound[4000:20_000]
    return float(np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax() * RATE / len(middle))
