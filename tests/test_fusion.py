from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.errors import ModelError
from edge.fusion import FITTED_RULES, RULES, Fit, Fusion, Rule, fold_calm, fuse
from edge.fusion_rules import Early, Linear

DISTRIBUTIONS = hnp.arrays(np.float32, 7, elements=st.floats(0.0, 1.0, width=32)).map(
    lambda p: (p + 1e-3) / (p + 1e-3).sum()
)
WEIGHTS = {"face": 1.0, "speech": 0.7}
SPEECH_SLOPES = {"voiced_share": 2.0, "snr_db": 0.2}
FIT = Fit(
    seed=0,
    pairs=0,
    reliability={
        "face": Linear(-2.0, {"quality": 4.0}, {"quality": 1.0}),
        "speech": Linear(-4.0, SPEECH_SLOPES, {"voiced_share": 0.5, "snr_db": 30.0}),
    },
    average={"face": 0.6, "speech": 0.4},
    attention={
        "face": Linear(0.0, {"confidence": 1.0, "quality": 3.0}, {"quality": 1.0}),
        "speech": Linear(0.0, {"entropy": -1.0, "snr_db": 0.1}, {"snr_db": 30.0}),
    },
    early=Early(("face", "speech"), (*np.eye(7).tolist(), *(0.5 * np.eye(7)).tolist()), (0.0,) * 7),
)
HAPPY = np.array([0.02, 0.02, 0.02, 0.8, 0.05, 0.04, 0.05], np.float32)
ANGRY = np.array([0.8, 0.02, 0.02, 0.05, 0.02, 0.04, 0.05], np.float32)
GOOD = {"face": {"quality": 1.0}, "speech": {"voiced_share": 0.5, "snr_db": 30.0}}

each_rule = pytest.mark.parametrize("rule", RULES)


def fused(rule: Rule, seen: np.ndarray, said: np.ndarray, **changed: dict[str, float]) -> np.ndarray:
    answer = Fusion(rule, WEIGHTS, FIT)({"face": seen, "speech": said}, GOOD | changed)
    assert answer is not None
    return answer


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


@each_rule
@given(face=DISTRIBUTIONS, speech=DISTRIBUTIONS, quality=st.floats(0, 1), snr_db=st.floats(-10, 40))
def test_every_rule_gives_a_distribution(
    rule: Rule, face: np.ndarray, speech: np.ndarray, quality: float, snr_db: float
) -> None:
    answer = fused(rule, face, speech, face={"quality": quality}, speech={"voiced_share": 0.4, "snr_db": snr_db})
    assert answer.shape == (7,)
    assert answer.sum() == pytest.approx(1.0, abs=1e-4)
    assert (answer >= 0.0).all()


@each_rule
def test_a_missing_modality_leaves_the_other_as_it_is(rule: Rule) -> None:
    fusion = Fusion(rule, WEIGHTS, FIT)
    for name in ("face", "speech"):
        np.testing.assert_array_equal(fusion({name: HAPPY}, GOOD), HAPPY)
    assert fusion({}, {}) is None


@each_rule
def test_agreement_is_followed_by_every_rule(rule: Rule) -> None:
    assert fused(rule, HAPPY, HAPPY).argmax() == HAPPY.argmax()


def test_contradiction_costs_confidence() -> None:
    answer = fused("log-linear", HAPPY, ANGRY)
    assert answer.max() < HAPPY.max()
    assert set(np.argsort(answer)[-2:]) == {EMOTIONS.index("happy"), EMOTIONS.index("angry")}


@pytest.mark.parametrize("rule", ["log-linear", "attention"])
def test_of_two_that_contradict_the_better_one_wins(rule: Rule) -> None:
    blurred = fused(rule, HAPPY, ANGRY, face={"quality": 0.1})
    assert EMOTIONS[blurred.argmax()] == "angry"
    drowned = fused(rule, HAPPY, ANGRY, speech={"voiced_share": 0.5, "snr_db": -5.0})
    assert EMOTIONS[drowned.argmax()] == "happy"


def test_a_worse_modality_is_relied_on_less_but_none_more_than_fully() -> None:
    fusion = Fusion("log-linear", WEIGHTS, FIT)
    ratios = [
        fusion.reliabilities({"speech": {"voiced_share": 0.5, "snr_db": db}})["speech"] for db in (-10, 5, 30, 40)
    ]
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.1
    assert ratios[2:] == [1.0, 1.0]
    assert fusion.reliabilities({"face": {"quality": 0.0}}) == {"face": 0.0}


def test_what_was_not_measured_counts_as_typical() -> None:
    fusion = Fusion("log-linear", WEIGHTS, FIT)
    assert fusion.reliabilities({"face": {}, "speech": {"voiced_share": 0.5}}) == {"face": 1.0, "speech": 1.0}


def test_a_vote_that_is_tied_goes_to_the_more_certain() -> None:
    unsure = np.array([0.3, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1], np.float32)
    answer = fused("vote", HAPPY, unsure)
    assert EMOTIONS[answer.argmax()] == "happy"
    assert answer.max() == pytest.approx(0.5, abs=0.01)


def test_an_older_manifest_fuses_by_the_measures_themselves() -> None:
    fusion = Fusion("log-linear", WEIGHTS, None)
    measures = {"face": {"quality": 0.3}, "speech": {"voiced_share": 0.6, "snr_db": 0.0}}
    expected = fuse({"face": HAPPY, "speech": ANGRY}, WEIGHTS, {"face": 0.3, "speech": 0.6})
    np.testing.assert_array_equal(fusion({"face": HAPPY, "speech": ANGRY}, measures), expected)


def test_what_both_modalities_believe_to_be_frequent_counts_once() -> None:
    neutral = EMOTIONS.index("neutral")
    offset = tuple(-2.0 if place == neutral else 0.0 for place in range(7))
    unsure = np.array([0.3, 0.05, 0.05, 0.05, 0.05, 0.05, 0.45], np.float32)
    both: dict[str, np.ndarray] = {"face": unsure, "speech": unsure}
    discounting = Fusion("log-linear", WEIGHTS, msgspec.structs.replace(FIT, offset=offset))
    without, with_it = Fusion("log-linear", WEIGHTS, FIT)(both, GOOD), discounting(both, GOOD)
    assert without is not None
    assert with_it is not None
    assert EMOTIONS[without.argmax()] == "neutral"
    assert EMOTIONS[with_it.argmax()] == "angry"
    np.testing.assert_array_equal(discounting({"face": unsure}, GOOD), unsure)
    np.testing.assert_array_equal(discounting(both, GOOD | {"speech": {"voiced_share": 0.0}}), unsure)


@pytest.mark.parametrize("offset", [[], [0.0] * 6, [0.0] * 8])
def test_an_offset_that_has_not_every_emotion_is_refused(offset: list[float]) -> None:
    damaged = msgspec.to_builtins(FIT) | {"offset": offset}
    with pytest.raises(msgspec.ValidationError, match="offset"):
        msgspec.convert(damaged, Fit)


@pytest.mark.parametrize("rule", FITTED_RULES)
def test_a_rule_without_its_parameters_is_refused(rule: Rule) -> None:
    with pytest.raises(ModelError, match=rule):
        Fusion(rule, WEIGHTS, None)
