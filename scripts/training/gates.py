"""How sure is sure: thresholds on confidence with a stated risk (selective risk control).

A threshold passes if the Clopper-Pearson upper bound of the error among the kept examples is at most alpha. Thresholds
are tested one after another from the strict end and testing stops at the first that fails, so that many tests need no
correction (fixed-sequence testing; Angelopoulos et al. 2021, "Learn then Test", arXiv:2110.01052). The candidates
depend on confidences only, never on which answers were right.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from edge.perception.manifest import Gate

ALPHA = 0.10
CONFIDENCE = 0.95
CANDIDATES = 20


def upper_bound(errors: int, kept: int, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided Clopper-Pearson bound: with `confidence`, the true error rate is no higher. 1.0 for none."""
    if kept == 0 or errors == kept:
        return 1.0
    return float(beta.ppf(confidence, errors + 1, kept - errors))


def fewest_kept(alpha: float, confidence: float) -> int:
    """Return the smallest number of kept examples that passes with one error: where the sequence of tests begins."""
    kept = 2
    while upper_bound(1, kept, confidence) > alpha:
        kept += 1
    return kept


def candidate_thresholds(confidences: NDArray[np.floating], fewest: int) -> list[float]:
    """Return up to 20 thresholds, strictest first, that keep from `fewest` to all of the examples."""
    ordered = np.sort(confidences)[::-1]
    if len(ordered) < fewest:
        return []
    ranks = np.linspace(fewest, len(ordered), CANDIDATES).round().astype(int)
    return sorted({math.floor(float(ordered[rank - 1]) * 1e4) / 1e4 for rank in ranks}, reverse=True)


def choose_gate(
    modalities: str,
    confidences: NDArray[np.floating],
    correct: NDArray[np.bool_],
    *,
    alpha: float = ALPHA,
    confidence: float = CONFIDENCE,
) -> Gate:
    """Return the gate of the lowest threshold that passes; its threshold is None where even the strictest fails.

    `confidences` (N,) are the largest calibrated probabilities, `correct` (N,) whether that emotion was the truth.
    """
    chosen: float | None = None
    testing = True
    curve = []
    for threshold in candidate_thresholds(confidences, fewest_kept(alpha, confidence)):
        kept = confidences >= threshold
        errors = int((~correct[kept]).sum())
        testing = testing and upper_bound(errors, int(kept.sum()), confidence) <= alpha
        if testing:
            chosen = threshold
        curve.append((threshold, round(float(1 - kept.mean()), 4), round(errors / int(kept.sum()), 4)))
    return Gate(
        modalities=modalities,
        alpha=alpha,
        confidence=confidence,
        threshold=chosen,
        n=len(confidences),
        coverage=0.0 if chosen is None else round(float((confidences >= chosen).mean()), 4),
        curve=tuple(curve),
    )
