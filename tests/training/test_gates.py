"""Gates: the bound is Clopper and Pearson's, and the promise made with it holds."""

import numpy as np
import pytest
from training.gates import ALPHA, CONFIDENCE, choose_gate, fewest_kept, upper_bound


def test_upper_bound_known_values():
    assert upper_bound(0, 29, 0.95) == pytest.approx(1 - 0.05 ** (1 / 29))
    assert upper_bound(2, 20, 0.95) == pytest.approx(0.2826, abs=1e-3)  # Clopper & Pearson 1934, one-sided
    assert upper_bound(0, 0) == upper_bound(5, 5) == 1


def test_fewest_kept_is_the_least_that_passes_with_one_error():
    fewest = fewest_kept(ALPHA, CONFIDENCE)
    assert upper_bound(1, fewest) <= ALPHA < upper_bound(1, fewest - 1)


def draw(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return confidences and whether they were right: a model that is right as often as its confidence squared."""
    confidences = rng.uniform(0.3, 1, size=count)
    return confidences, rng.random(count) < confidences**2


def test_choose_gate_error_stays_under_alpha_as_often_as_promised():
    rng = np.random.default_rng(3)
    broken = chosen = 0
    for _ in range(300):
        gate = choose_gate("face", *draw(800, rng))
        if gate.threshold is not None:
            chosen += 1
            t = gate.threshold
            broken += 1 - (1 - t**3) / (3 * (1 - t)) > ALPHA  # mean of 1 - c^2 over c in [t, 1]
    assert chosen > 30
    assert broken / 300 <= 1 - CONFIDENCE + 0.02


def test_choose_gate_good_model_keeps_nearly_all():
    confidences = np.linspace(0.5, 1, 500)
    gate = choose_gate("face", confidences, np.ones(500, dtype=bool))
    assert gate.coverage == 1
    assert gate.threshold == pytest.approx(0.5)


def test_choose_gate_bad_model_has_no_threshold():
    gate = choose_gate("speech", np.linspace(0.5, 1, 500), np.arange(500) % 2 == 0)
    assert gate.threshold is None
    assert gate.coverage == 0
    assert len(gate.curve) > 10


def test_choose_gate_too_few_examples_has_no_threshold():
    gate = choose_gate("speech", np.linspace(0.5, 1, 20), np.ones(20, dtype=bool))
    assert gate.threshold is None
    assert gate.curve == ()


def test_choose_gate_curve_goes_from_strict_to_all():
    gate = choose_gate("face", *draw(1000, np.random.default_rng(5)))
    offloaded = [share for _, share, _ in gate.curve]
    assert offloaded == sorted(offloaded, reverse=True)
    assert offloaded[-1] == 0
