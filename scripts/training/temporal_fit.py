"""Choose how sticky the filter over time is, on simulated sequences of the calibration half."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.fusion import Fusion
from edge.temporal import FilterFit, TemporalFilter
from training.calibrate import negative_log_likelihood
from training.fusion_data import Side
from training.sequences import Walk, simulate

SEED = 21
SEQUENCES = 150
STAYS = (1 / 7, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def fit_filter(calibration: Side, fusion: Fusion) -> FilterFit:
    """Return the filter whose distributions give the true emotions the highest likelihood."""
    losses = stay_losses(simulate(calibration, fusion, SEQUENCES, seed=SEED))
    return FilterFit(stay=min(losses, key=lambda stay: losses[stay]), seed=SEED, sequences=SEQUENCES)


def stay_losses(walks: Sequence[Walk]) -> dict[float, float]:
    """Return, for each stay that is tried, the mean negative log-likelihood of the true emotions, in nats."""
    return {stay: loss(walks, [filtered(walk, stay) for walk in walks]) for stay in STAYS}


def filtered(walk: Walk, stay: float) -> NDArray[np.float32]:
    """Return the sequence, (T, 7), as the device's filter makes it; NaN where nothing was perceived."""
    temporal = TemporalFilter(stay=stay)
    answers = np.full_like(walk.pooled, np.nan)
    for at, (row, seen) in enumerate(zip(walk.pooled, walk.seen, strict=True)):
        answer = temporal.update(row if seen else None)
        if answer is not None:
            answers[at] = answer
    return answers


def loss(walks: Sequence[Walk], answers: Sequence[NDArray[np.float32]]) -> float:
    """Return the mean negative log-likelihood of the true emotions where anything was perceived."""
    probabilities = np.concatenate([answer[walk.seen] for walk, answer in zip(walks, answers, strict=True)])
    return negative_log_likelihood(probabilities, np.concatenate([walk.labels[walk.seen] for walk in walks]))
