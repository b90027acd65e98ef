"""Fitting fusion weights on pairs of one emotion."""

import numpy as np
from training.fusion_fit import Judged, draw_pairs, fit_weights, match_pairs


def judged(count: int, sharpness: float, seed: int) -> Judged:
    """Return answers that favour the truth by `sharpness` in the logits."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, size=count)
    logits = rng.normal(size=(count, 7))
    logits[np.arange(count), labels] += sharpness
    weights = np.exp(logits)
    return Judged((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), labels)


def test_fit_weights_trusts_the_better_modality_more():
    weights = fit_weights(judged(400, 3.0, seed=1), judged(200, 0.2, seed=2))
    assert weights["face"] > weights["speech"]


def test_match_pairs_uses_nobody_twice():
    face, speech = judged(300, 1, seed=3), judged(90, 1, seed=4)
    faces, voices = match_pairs(face, speech)
    assert (faces.labels == voices.labels).all()
    assert len(np.unique(voices.probabilities, axis=0)) == len(voices.labels) == 90
    assert len(np.unique(faces.probabilities, axis=0)) == len(faces.labels)


def test_draw_pairs_same_every_time():
    face, speech = judged(300, 1, seed=3), judged(90, 1, seed=4)
    first, second = draw_pairs(face, speech, 50), draw_pairs(face, speech, 50)
    assert (first[0].labels == first[1].labels).all()
    assert (first[0].probabilities == second[0].probabilities).all()
