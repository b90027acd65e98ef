"""Calibration lowers the loss and the error of confidences, and knows perfect confidences when it sees them."""

import numpy as np
import pytest
from training.calibrate import (
    expected_calibration_error,
    fit_scaling,
    least_calibration_error,
    negative_log_likelihood,
    softmax,
)

from edge.perception.manifest import Output

LABELS = ("a", "b", "c")


def overconfident(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return logits three times too large, and labels drawn from what the right ones mean."""
    rng = np.random.default_rng(1)
    honest = rng.normal(size=(count, 3)) * 1.5
    labels = np.array([rng.choice(3, p=row) for row in softmax(honest)])
    return (honest * 3 + [0.5, 0, -0.5]).astype(np.float32), labels


def test_fit_scaling_lowers_loss_and_calibration_error():
    logits, labels = overconfident()
    scaling = fit_scaling(logits, labels)
    output = Output("x", LABELS, scaling.temperature, scaling.bias, 0.0, "made up")
    before, after = softmax(logits), output.calibrate(logits)
    assert scaling.temperature == pytest.approx(3, rel=0.1)
    assert negative_log_likelihood(after, labels) < negative_log_likelihood(before, labels)
    assert expected_calibration_error(after, labels) < 0.03 < expected_calibration_error(before, labels)


def test_fit_scaling_bias_sums_to_nothing():
    scaling = fit_scaling(*overconfident())
    assert sum(scaling.bias) == pytest.approx(0, abs=1e-3)


def test_fit_scaling_without_biases_fits_the_temperature_alone():
    logits, labels = overconfident()
    scaling = fit_scaling(logits, labels, biased=False)
    assert scaling.bias == (0.0, 0.0, 0.0)
    assert scaling.temperature == pytest.approx(3, rel=0.1)


def test_expected_calibration_error_of_sure_and_right_is_zero():
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0


def test_expected_calibration_error_of_sure_and_wrong_is_one():
    assert expected_calibration_error(np.eye(3), np.array([1, 2, 0])) == 1


def test_fit_scaling_few_examples_hardly_move_the_bias():
    logits, labels = overconfident()
    few, many = fit_scaling(logits[:60], labels[:60]), fit_scaling(logits, labels)
    assert np.abs(few.bias).max() < np.abs(many.bias).max()


def test_least_calibration_error_shrinks_with_examples():
    honest = softmax(np.random.default_rng(2).normal(size=(5000, 3)) * 1.5)
    assert least_calibration_error(honest) < 0.02 < least_calibration_error(honest[:100])
