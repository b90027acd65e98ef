"""The rules by which distributions of several modalities become one. Pure numpy.

Each takes distributions (..., 7) by modality, two at least, and returns one of (..., 7); what else it takes has the
shape (...) by modality. `edge.fusion` says when each is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

PROBABILITY_FLOOR = 1e-4
"""No modality may veto an emotion alone: log(0) would."""

TIE_BREAK = 1e-3
"""What the mean of the probabilities weighs beside the votes: enough to settle a tie, too little to change a vote."""

Floats = NDArray[np.floating[Any]]
Distributions = Mapping[str, Floats]


class Linear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bias + Σ slope · measure; a measure that was not taken counts as `typical`."""

    bias: float
    slopes: dict[str, float]
    typical: dict[str, float] = {}

    def __call__(self, measures: Mapping[str, Any]) -> Floats:
        """Return the value, (...), for measures of that shape."""
        value = np.asarray(self.bias, np.float64)
        for name, slope in self.slopes.items():
            value = value + slope * np.asarray(measures.get(name, self.typical.get(name, 0.0)), np.float64)
        return value


class Early(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Multinomial logistic regression over the centred log-probabilities of the modalities, side by side."""

    modalities: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    """7 rows for each modality, in their order; 7 columns, one for each emotion that comes out."""
    bias: tuple[float, ...]


def log_linear(distributions: Distributions, exponents: Mapping[str, Any], offset: Any = 0.0) -> Floats:
    """Return Π p^exponent · exp(offset), normalised; `offset` has the shape (7,), or is 0.

    Genest & Zidek 1986, "Combining Probability Distributions".
    """
    return _softmax(sum(_column(exponents[name]) * _log(p) for name, p in distributions.items()) + np.asarray(offset))


def product(distributions: Distributions) -> Floats:
    """Return Bayes' rule for modalities that are independent given the emotion, with a uniform prior."""
    return log_linear(distributions, dict.fromkeys(distributions, 1.0))


def average(distributions: Distributions, weights: Mapping[str, Any]) -> Floats:
    """Return the mean of the probabilities, weighted; weights are brought to the sum 1."""
    total = sum(_column(weights[name]) for name in distributions)
    return np.asarray(sum(_column(weights[name]) * p for name, p in distributions.items()) / total)


def mean(distributions: Distributions) -> Floats:
    """Return the mean of the probabilities."""
    return average(distributions, dict.fromkeys(distributions, 1.0))


def vote(distributions: Distributions) -> Floats:
    """Return each emotion's share of the votes, one a modality; a tie goes to the larger mean probability."""
    votes = {name: np.eye(p.shape[-1])[p.argmax(axis=-1)] for name, p in distributions.items()}
    return (mean(votes) + TIE_BREAK * mean(distributions)) / (1.0 + TIE_BREAK)


def attention(
    distributions: Distributions, scores: Mapping[str, Linear], measures: Mapping[str, Mapping[str, Any]]
) -> Floats:
    """Return the mean weighted by a softmax over the modalities of linear scores.

    A score sees the modality's `confidence` (largest probability), `entropy` (0 certain, 1 uniform), and `measures`.
    """
    seen = {name: scores[name](looks(p) | dict(measures.get(name, {}))) for name, p in distributions.items()}
    highest = np.maximum.reduce(list(seen.values()))
    return average(distributions, {name: np.exp(score - highest) for name, score in seen.items()})


def early(distributions: Distributions, fitted: Early) -> Floats:
    """Return the regression's answer; a modality that is not there says nothing of any emotion."""
    shape = next(iter(distributions.values())).shape
    rows = [centred(distributions[name]) if name in distributions else np.zeros(shape) for name in fitted.modalities]
    return _softmax(np.concatenate(rows, axis=-1) @ np.asarray(fitted.weights) + np.asarray(fitted.bias))


def centred(distribution: Floats) -> Floats:
    """Return log p minus its mean, (..., 7): the calibrated logits, which are all the embedding that int8 nets give."""
    logs = _log(distribution)
    return np.asarray(logs - logs.mean(axis=-1, keepdims=True))


def looks(distribution: Floats) -> dict[str, Floats]:
    """Return `confidence` and `entropy`, (...), of a distribution (..., 7)."""
    entropy = -(distribution * _log(distribution)).sum(axis=-1) / np.log(distribution.shape[-1])
    return {"confidence": distribution.max(axis=-1), "entropy": entropy}


def sigmoid(value: Floats) -> Floats:
    """Return 1 / (1 + exp(-value)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))


def _log(distribution: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(distribution, PROBABILITY_FLOOR)))


def _column(value: Any) -> Floats:
    return np.asarray(value, np.float64)[..., None]


def _softmax(logits: Any) -> Floats:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
