"""Changed packs: each change does what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from training import robustness_face as faces
from training import robustness_speech as speech
from training.models import Recogniser
from training.packs import Pack
from training.robustness import UNCHANGED, figures, robustness_json, robustness_markdown, robustness_table

from edge.perception.detect import HaarDetector
from edge.perception.features import SAMPLE_RATE, speech_features

KEYS = {"condition", "level", "unit", "n", "accuracy", "uar", "ece", "accuracy_unchanged", "found"}


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def images() -> np.ndarray:
    return rng().integers(0, 256, (6, 48, 48), np.uint8)


def voice(seed: int, seconds: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tones = sum(np.sin(2 * np.pi * pitch * times) for pitch in random.uniform(150, 3000, 5))
    return (0.05 * tones * (1 + np.sin(2 * np.pi * 4 * times)) + random.normal(0, 0.01, len(times))).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "nothing"),
    [
        (faces.blur, 0),
        (faces.coarsen, 48),
        (faces.darken, 1),
        (faces.add_noise, 0),
        (faces.cover_somewhere, 0),
        (faces.rotate, 0),
        (faces.jitter, 0),
    ],
)
def test_the_level_of_nothing_changes_nothing(images, change, nothing):
    np.testing.assert_array_equal(change(images, nothing, rng()), images)


@pytest.mark.parametrize("condition", faces.CONDITIONS, ids=lambda each: each.name)
def test_every_face_condition_changes_images_and_repeats_with_its_seed(images, condition):
    before = images.copy()
    for level in condition.levels:
        once, again = (condition.change(images, level or 0.0, rng()) for _ in range(2))
        assert once.shape == images.shape
        assert once.dtype == np.uint8
        np.testing.assert_array_equal(once, again)
        assert (once != images).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(images, before)


def test_covering_the_mouth_leaves_the_upper_face_and_the_eyes_the_lower(images):
    mouth, eyes = faces.cover_mouth(images, 0, rng()), faces.cover_eyes(images, 0, rng())
    np.testing.assert_array_equal(mouth[:, :30], images[:, :30])
    np.testing.assert_array_equal(eyes[:, 27:], images[:, 27:])
    assert (mouth[:, 37, 24] == faces.COVER).all()
    assert (eyes[:, 19, 15] == faces.COVER).all()


@pytest.mark.parametrize("percent", [20, 40])
def test_a_rectangle_covers_its_share(percent):
    white = np.full((200, 48, 48), 255, np.uint8)
    covered = (faces.cover_somewhere(white, percent, rng()) == faces.COVER).mean(axis=(1, 2))
    assert covered == pytest.approx(percent / 100, abs=0.02)


def test_half_of_the_faces_turn_to_either_side():
    bar = np.zeros((20, 48, 48), np.uint8)
    bar[:, :, 23:25] = 255
    top = faces.rotate(bar, 20, rng())[:, 4].argmax(axis=1)
    assert (top < 23).sum() == (top > 24).sum() == 10


def test_noise_and_darkness_are_as_strong_as_they_say():
    gray = np.full((10, 48, 48), 128, np.uint8)
    assert faces.add_noise(gray, 10, rng()).std() == pytest.approx(10, rel=0.05)
    dark = faces.darken(gray, 0.25, rng())
    assert dark.mean() == pytest.approx(32, abs=0.5)
    electrons = 128 / 255 * faces.FULL_WELL * 0.25
    assert dark.std() == pytest.approx(255 / faces.FULL_WELL * np.hypot(electrons**0.5, faces.READ_NOISE), rel=0.05)


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 0.0])
def test_noise_and_babble_have_the_snr_that_was_asked(snr_db):
    sounds = [voice(seed) for seed in range(6)]
    for mixed in (
        speech.with_noise(sounds[0], [voice(9, 2.0)], snr_db, rng()),
        speech.with_babble(sounds, list("aabbcc"), snr_db, 0, rng()),
    ):
        sounding = np.abs(sounds[0]) > 1e-4
        added = mixed.astype(np.float64) - sounds[0]
        measured = 10 * np.log10((sounds[0][sounding] ** 2).mean() / (added**2).mean())
        assert measured == pytest.approx(snr_db, abs=0.1)


def test_an_endless_snr_no_clipping_and_no_damping_change_nothing():
    clip = voice(0)
    np.testing.assert_array_equal(speech.with_noise(clip, [voice(1)], np.inf, rng()), clip)
    np.testing.assert_array_equal(speech.clip_peaks(clip, 0.0), clip)
    np.testing.assert_array_equal(speech.quieten(clip, 0.0), clip)


def test_a_silent_stretch_of_noise_is_drawn_again():
    clip, noise = voice(0), np.concatenate([np.zeros(4 * SAMPLE_RATE, np.float32), voice(1, 2.0)])
    for seed in range(9):
        assert (speech.with_noise(clip, [noise], 5.0, np.random.default_rng(seed)) != clip).any()


def test_babble_never_has_the_same_speaker():
    speakers = list("aaabbbcccd")
    for index, speaker in enumerate(speakers):
        for seed in range(20):
            chosen = speech.babblers(speakers, index, np.random.default_rng(seed))
            assert len(chosen) == len(set(chosen)) == speech.BABBLERS
            assert speaker not in {speakers[other] for other in chosen}
    assert len(speech.babblers(["a", "b"], 0, rng())) == 1


def test_babble_of_silence_and_of_unequal_lengths():
    assert not speech.babble([np.zeros(10, np.float32)]).any()
    assert len(speech.babble([voice(0, 0.5), 1e-3 * voice(1, 1.5)])) == int(1.5 * SAMPLE_RATE)


def test_clipping_telephone_and_damping_do_what_they_say():
    clip = voice(0)
    assert np.abs(speech.clip_peaks(clip, 6.0)).max() == pytest.approx(np.abs(clip).max() * 10 ** (-6 / 20))
    np.testing.assert_allclose(speech_features(speech.quieten(clip, 6.0)), speech_features(clip), atol=1e-3)
    line = speech.telephone(np.concatenate([clip, clip[:1]]))
    assert line.shape == (len(clip) + 1,)
    power = np.abs(np.fft.rfft(line)) ** 2
    hertz = np.fft.rfftfreq(len(line), 1 / SAMPLE_RATE)
    assert power[(hertz < 150) | (hertz > 3900)].sum() < 0.02 * power.sum()
    assert not speech.telephone(np.zeros(1000, np.float32)).any()


def test_faces_in_frames_are_found_and_cropped(sample_face):
    frames = np.stack([sample_face] * 2)
    found, crops = faces.through_detector(frames, 144, HaarDetector(), rng())
    assert found.all()
    assert crops.shape == (2, 48, 48)
    assert np.corrcoef(crops[0].ravel(), sample_face.ravel())[0, 1] > 0.7
    found, crops = faces.through_detector(np.full((2, 48, 48), 90, np.uint8), 96, HaarDetector(), rng())
    assert not found.any()
    assert crops.shape == (0, 48, 48)


@pytest.fixture
def sample_face() -> np.ndarray:
    """A drawn face that Haar finds: bright oval, dark eyes, brows and mouth."""
    import cv2

    face = np.full((192, 192), 90, np.uint8)
    cv2.ellipse(face, (96, 96), (78, 96), 0, 0, 360, 200, -1)
    for x in (60, 132):
        cv2.ellipse(face, (x, 75), (18, 8), 0, 0, 360, 60, -1)
        cv2.line(face, (x - 22, 56), (x + 22, 56), 70, 6)
    cv2.line(face, (96, 80), (92, 115), 160, 6)
    cv2.ellipse(face, (96, 148), (30, 9), 0, 0, 360, 80, -1)
    return np.asarray(cv2.resize(cv2.GaussianBlur(face, (0, 0), 2), (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


def test_figures_are_of_the_found_alone():
    probabilities = np.eye(7, dtype=np.float32)[[0, 1]]
    truth, unchanged = np.array([0, 0, 2]), np.eye(7, dtype=np.float32)[[0, 0, 3]]
    row = figures("x", 1, "", probabilities, truth, unchanged, found=np.array([True, True, False]))
    assert (row.n, row.accuracy, row.accuracy_unchanged, row.found) == (2, 0.5, 1.0, pytest.approx(2 / 3))
    none = figures("x", 1, "", probabilities[:0], truth, unchanged, found=np.zeros(3, bool))
    assert (none.n, none.accuracy, none.found) == (0, None, 0.0)
    assert "-" in robustness_table([none])
    assert robustness_markdown([none]).count("\n") == 2


def test_the_unchanged_pack_comes_first_and_every_condition_follows(images):
    recognise = Recogniser("edge", "face", "ferplus")
    pack = Pack(images.astype(np.float32) / np.float32(255), np.arange(6))
    rows = faces.robustness_figures(recognise, pack, [HaarDetector()])
    assert rows[0].condition == UNCHANGED
    assert rows[0].accuracy == (recognise(pack.inputs).argmax(axis=1) == pack.truth).mean()
    assert [row.condition for row in rows].count("detector haar-alt2") == 3
    assert {condition.name for condition in faces.CONDITIONS} < {row.condition for row in rows}
    assert all(set(row) == KEYS for row in robustness_json(rows))
    json.dumps(robustness_json(rows))
