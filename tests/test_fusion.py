from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.fusion import fold_calm, fuse

DISTRIBUTIONS = hnp.arrays(np.float32, 7, elements=st.floats(0.0, 1.0, width=32)).map(
    lambda p: (p + 1e-3) / (p + 1e-3).sum()
)
WEIGHTS = {"face": 1.0, "speech": 0.7}


@given(DISTRIBUTIONS, DISTRIBUTIONS, st.floats(0, 1), st.floats(0, 1))
def test_fused_is_a_distribution(face: np.ndarray, speech: np.ndarray, quality: float, voiced: float) -> None:
    fused = fuse({"face": face, "speech": speech}, WEIGHTS, {"face": quality, "speech": voiced})
    if quality == voiced == 0.0:
        assert fused is None
        return
    if fused is not None:
        assert fused.sum() == pytest.approx(1.0, abs=1e-3)


@given(DISTRIBUTIONS)
def test_one_modality_alone_stays_as_it_is(face: np.ndarray) -> None:
    np.testing.assert_array_equal(fuse({"face": face}, WEIGHTS, {"face": 0.1}), face)


@given(DISTRIBUTIONS, DISTRIBUTIONS)
def test_an_unreliable_modality_drops_out(face: np.ndarray, speech: np.ndarray) -> None:
    np.testing.assert_array_equal(fuse({"face": face, "speech": speech}, WEIGHTS, {"face": 1.0, "speech": 0.0}), face)


def test_nothing_in_nothing_out() -> None:
    assert fuse({}, WEIGHTS, {}) is None


def test_agreement_raises_confidence() -> None:
    both = np.array([0.05, 0.05, 0.05, 0.65, 0.05, 0.05, 0.1], np.float32)
    fused = fuse({"face": both, "speech": both}, {}, {})
    assert fused is not None
    assert fused.max() > both.max()


def test_a_modality_with_a_zero_has_no_veto() -> None:
    face = np.array([0.9, 0.1, 0, 0, 0, 0, 0], np.float32)
    speech = np.array([0.0, 0.4, 0.1, 0.1, 0.1, 0.1, 0.2], np.float32)
    fused = fuse({"face": face, "speech": speech}, {"speech": 0.2}, {})
    assert fused is not None
    assert fused.argmax() == 0


def test_calm_counts_as_neutral() -> None:
    speech = np.arange(1, 9, dtype=np.float32) / 36
    folded = fold_calm(speech)
    assert folded.shape == (7,)
    assert folded.sum() == pytest.approx(1.0)
    neutral = speech[SPEECH_EMOTIONS.index("neutral")] + speech[SPEECH_EMOTIONS.index("calm")]
    assert folded[EMOTIONS.index("neutral")] == pytest.approx(neutral)


def test_one_modality_of_no_quality_at_all_still_stays_as_it_is() -> None:
    face = np.full(7, 1 / 7, np.float32)
    np.testing.assert_array_equal(fuse({"face": face}, WEIGHTS, {"face": 0.0}), face)
