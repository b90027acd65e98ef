"""Pairs of one emotion, and the rules of fusion fitted on them."""

from dataclasses import replace

import numpy as np
from training.fusion_data import CLEAN, FACES, VOICES, Measured, Side
from training.fusion_fit import Judged, draw_frequent_places, draw_pairs, fuse_pairs, match_pairs
from training.rules_fit import fit_fusion

from edge.emotions import EMOTIONS
from edge.fusion import RULES, Fusion

COUNTS = (1, 1, 1, 4, 2, 2, 9)
"""How frequent emotions are."""


def judged(count: int, sharpness: float, seed: int) -> Judged:
    """Return answers that favour the truth by `sharpness` in the logits."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, size=count)
    logits = rng.normal(size=(count, 7))
    logits[np.arange(count), labels] += sharpness
    weights = np.exp(logits)
    return Judged((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), labels)


def side(face: float, speech: float, bad_face: float, seed: int) -> Side:
    """Return a half in which faces of low quality favour the truth by `bad_face` only; noise costs voices nothing."""
    rng = np.random.default_rng(seed)

    def measured(count: int, sharpness: float, measures: dict[str, float]) -> Measured:
        one = judged(count, sharpness, seed=int(rng.integers(1000)))
        labels = np.arange(count) % 7
        order = [
            int(np.flatnonzero(one.labels == label)[k % (one.labels == label).sum()]) for k, label in enumerate(labels)
        ]
        values = {name: rng.normal(value, 0.02, size=count) for name, value in measures.items()}
        return Measured(one.probabilities[order], labels, values)

    faces = {CLEAN: measured(420, face, {"quality": 0.9})}
    faces |= {name: measured(420, bad_face, {"quality": 0.2}) for name in FACES}
    voices = {CLEAN: measured(140, speech, {"voiced_share": 0.5, "snr_db": 30.0})}
    voices |= {name: measured(140, speech, {"voiced_share": 0.4, "snr_db": 5.0}) for name in VOICES}
    return Side(faces, voices)


def test_fit_relies_on_faces_by_their_quality_where_it_tells():
    fitted = fit_fusion(side(face=3.0, speech=2.0, bad_face=0.0, seed=1))
    fusion = fitted.fusion()
    low, high = (fusion.reliabilities({"face": {"quality": quality}})["face"] for quality in (0.2, 0.9))
    assert low < 0.3
    assert high > 0.95
    assert fitted.fit.pairs > 2000
    assert fitted.weights["face"] > 0.5


def test_fit_trusts_the_better_modality_more():
    fitted = fit_fusion(side(face=3.0, speech=0.2, bad_face=3.0, seed=1))
    assert fitted.weights["face"] * 2 > fitted.weights["speech"]
    assert fitted.fit.average["face"] > 0.7


def test_fitted_rules_beat_the_better_modality_on_other_pairs():
    fitted = fit_fusion(side(face=2.0, speech=2.0, bad_face=0.0, seed=1))
    other = side(face=2.0, speech=2.0, bad_face=0.0, seed=2)
    faces, voices = draw_pairs(other.faces[CLEAN], other.voices[CLEAN], 700)
    alone = (voices.probabilities.argmax(axis=1) == voices.labels).mean()
    for rule in RULES:
        fused = fuse_pairs(faces, voices, Fusion(rule, fitted.weights, fitted.fit))
        right = (fused.argmax(axis=1) == faces.labels).mean()
        assert right > alone + (0.03 if rule in ("log-linear", "product", "early") else -0.02), rule


def test_fit_counts_frequencies_once():
    """Faces and voices that each multiply what they see by how frequent emotions are hold these frequencies twice."""
    frequency = np.array(COUNTS) / sum(COUNTS)
    even = side(face=2.0, speech=2.0, bad_face=2.0, seed=1)

    def leaning(one: Measured) -> Measured:
        lean = one.probabilities * frequency
        return replace(one, probabilities=(lean / lean.sum(axis=1, keepdims=True)).astype(np.float32))

    often = np.concatenate([np.flatnonzero(even.faces[CLEAN].labels == e)[: 6 * n] for e, n in enumerate(COUNTS)])
    faces = {name: leaning(one).take(often) for name, one in even.faces.items()}
    offset = fit_fusion(Side(faces, {name: leaning(one) for name, one in even.voices.items()})).fit.offset
    plain = fit_fusion(even).fit.offset
    assert offset is not None
    assert plain is not None
    assert np.argmin(offset) == EMOTIONS.index("neutral")
    assert np.ptp(offset) > 0.5
    np.testing.assert_allclose(plain, 0.0, atol=1e-4)


def test_places_are_as_frequent_as_among_the_faces():
    labels = np.repeat(np.arange(7), COUNTS)
    rng = np.random.default_rng(0)
    faces, voices = draw_frequent_places(labels, np.arange(6), 1200, rng)
    assert (labels[faces] == np.arange(6)[voices]).all()
    np.testing.assert_allclose(np.bincount(labels[faces]) / 1200, np.array(COUNTS[:6]) / sum(COUNTS[:6]), atol=0.05)


def test_fit_same_every_time():
    half = side(face=2.0, speech=1.0, bad_face=0.5, seed=3)
    assert fit_fusion(half) == fit_fusion(half)


def test_match_pairs_uses_nobody_twice():
    face, speech = judged(300, 1, seed=3), judged(90, 1, seed=4)
    faces, voices = match_pairs(face, speech)
    assert (faces.labels == voices.labels).all()
    assert len(np.unique(voices.probabilities, axis=0)) == len(voices.labels)
    assert len(np.unique(faces.probabilities, axis=0)) == len(faces.labels)


def test_match_pairs_are_not_mostly_of_one_emotion():
    face, speech = judged(300, 1, seed=3), judged(90, 1, seed=4)
    there = np.minimum(*(np.bincount(part.labels, minlength=7) for part in (face, speech)))
    counts = np.bincount(match_pairs(face, speech)[0].labels, minlength=7)
    assert counts.max() > there.min()
    np.testing.assert_array_equal(counts, np.minimum(there, 2 * there.min()))


def test_draw_pairs_same_every_time():
    face, speech = judged(300, 1, seed=3), judged(90, 1, seed=4)
    first, second = draw_pairs(face, speech, 50), draw_pairs(face, speech, 50)
    assert (first[0].labels == first[1].labels).all()
    assert (first[0].probabilities == second[0].probabilities).all()
