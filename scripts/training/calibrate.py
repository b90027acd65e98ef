"""Calibration: from logits to probabilities that mean what they say.

Vector scaling with one temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks"), fitted on outputs of
the file that ships: softmax(logits / temperature + bias), exactly as `edge.perception.manifest.Output` applies it.
Speech gets no biases: some speakers' make others' worse, by 0.02 nats a clip (`scripts/evaluate strangers`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

ECE_BINS = 15

BIAS_PENALTY = 32.0
"""Per example: a normal prior on the biases that few examples cannot outweigh. Calibrating speech on one speaker and
trying it on another (actors 18 and 19), biases fitted freely cost 0.10 nats; so strongly held back they cost nothing.
"""


@dataclass(frozen=True)
class Scaling:
    """softmax(logits / temperature + bias)."""

    temperature: float
    bias: tuple[float, ...]


def fit_scaling(logits: NDArray[np.float32], labels: NDArray[np.int64], *, biased: bool = True) -> Scaling:
    """Return temperature and bias of the lowest penalised negative log-likelihood; logits (N, C), labels (N,).

    Without `biased` all biases are 0.
    """
    classes = logits.shape[1]
    penalty = BIAS_PENALTY / len(labels)

    def loss(parameters: NDArray[np.float64]) -> float:
        probabilities = softmax(logits / np.exp(parameters[0]) + parameters[1:])
        return negative_log_likelihood(probabilities, labels) + penalty * float((parameters[1:] ** 2).sum())

    free = (None, None) if biased else (0.0, 0.0)
    best = minimize(loss, np.zeros(1 + classes), method="L-BFGS-B", bounds=[(None, None), *[free] * classes]).x
    bias = best[1:] - best[1:].mean()
    return Scaling(round(float(np.exp(best[0])), 4), tuple(round(float(value), 4) for value in bias))


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return probabilities over the last axis, float64."""
    shifted = np.exp(np.asarray(logits, dtype=np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def negative_log_likelihood(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the mean of -log of what was given to the truth, in nats."""
    given = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(given, 1e-12)).mean())


def expected_calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], bins: int = ECE_BINS
) -> float:
    """Return the ECE: |accuracy - mean confidence| over equal-width bins of confidence, weighted by their counts."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(correct[place == b].mean() - confidence[place == b].mean()) * (place == b).mean() for b in np.unique(place)
    ]
    return float(sum(gaps))


def least_calibration_error(probabilities: NDArray[np.floating], draws: int = 200) -> float:
    """Return the ECE to expect if these confidences were perfect: with few examples it is far from 0.

    The mean over `draws` sets of labels drawn from the probabilities themselves; seeded.
    """
    rng = np.random.default_rng(0)
    ranked = np.cumsum(probabilities, axis=1)
    last = probabilities.shape[1] - 1
    drawn = [(rng.random((len(ranked), 1)) > ranked).sum(axis=1).clip(max=last) for _ in range(draws)]
    return float(np.mean([expected_calibration_error(probabilities, labels) for labels in drawn]))
