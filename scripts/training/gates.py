"""How sure is sure: thresholds on confidence with a stated risk (selective risk control).

A threshold passes if the Clopper-Pearson upper bound of the error among the kept examples is at most alpha. Which one
is chosen of those tried here stands in `edge.perception.manifest.Gate.point`, where a device can choose again.

What makes the promise hold:

- The thresholds are a fixed grid. Thresholds at quantiles of the calibration confidences would depend on the examples
  that they are tested with.
- Testing goes from strict to lax and stops at the first failure. It starts where enough examples are kept, which is no
  look at the labels: that stricter thresholds kept few makes errors here only likelier.
- Examples that are not independent count less. Identical pictures count once (training/gate_fit.py). Clips of one
  speaker are wrong together: their number is divided by the design effect 1 + (m - 1) rho, for m clips per speaker
  whose errors correlate by rho (Rao & Scott 1992, "A Simple Method for the Analysis of Clustered Binary Data").
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.special import betaincinv

from edge.perception.manifest import ONE_ERROR, Gate, GatePoint

ALPHA = 0.10
CONFIDENCE = 0.95

GRID = tuple(round(float(1 / (1 + np.exp(-log_odds))), 4) for log_odds in np.arange(7.6, -1.7, -0.2))
"""From 0.9995 to 0.168, even in log-odds: where a model is sure, small steps matter."""

ROUNDING = 1e-9
"""How much further than its limit an alpha is tried, so that rounding does not decide."""


def upper_bound(errors: float, kept: float, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided Clopper-Pearson bound: with `confidence`, the true error rate is no higher. 1.0 for none.

    Effective numbers, which are no whole ones, are allowed.
    """
    if kept <= 0 or errors >= kept:
        return 1.0
    return float(betaincinv(errors + 1, kept - errors, confidence))


def design_effect(correct: NDArray[np.bool_], groups: NDArray[np.generic]) -> float:
    """Return by how much groups, (N,) names, make N outcomes fewer: 1.0 if they do not matter.

    The correlation within groups is estimated by analysis of variance (Ridout et al. 1999, "Estimating Intraclass
    Correlation for Binary Data"), negative estimates count as 0. With few groups it is known badly.
    """
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    count, total = len(sizes), len(correct)
    if count < 2 or count == total:
        return 1.0
    means = np.bincount(place, correct) / sizes
    between = float((sizes * (means - correct.mean()) ** 2).sum()) / (count - 1)
    within = float((sizes * means * (1 - means)).sum()) / (total - count)
    typical = (total - (sizes**2).sum() / total) / (count - 1)
    spread = between + (typical - 1) * within
    correlation = max(0.0, (between - within) / spread) if spread > 0 else 0.0
    return float(1 + ((sizes**2).sum() / total - 1) * correlation)


def choose_gate(
    modalities: str,
    confidences: NDArray[np.floating],
    correct: NDArray[np.bool_],
    *,
    groups: NDArray[np.generic] | None = None,
    unit: str = "examples",
    alpha: float = ALPHA,
    confidence: float = CONFIDENCE,
) -> Gate:
    """Return the gate of the laxest threshold that passes; its threshold is None where even the strictest fails.

    `confidences` (N,) are the largest calibrated probabilities, `correct` (N,) whether that emotion was the truth,
    `groups` (N,) who is wrong together, such as speakers; None: all are independent.
    """
    effect = 1.0 if groups is None else round(design_effect(correct, groups), 3)
    gate = Gate(
        modalities=modalities,
        alpha=alpha,
        confidence=confidence,
        threshold=None,
        bound=None,
        n=len(confidences),
        unit=unit,
        design_effect=effect,
        coverage=0.0,
        curve=_curve(confidences, correct, effect, confidence),
    )
    return chosen_for(gate, alpha)


def chosen_for(gate: Gate, alpha: float) -> Gate:
    """Return the gate with the threshold for another `alpha`."""
    point = gate.point(alpha)
    if point is None:
        return replace(gate, alpha=alpha, threshold=None, bound=None, coverage=0.0)
    coverage = round(point.kept / gate.n, 4)
    return replace(gate, alpha=alpha, threshold=point.threshold, bound=point.bound, coverage=coverage)


def no_laxer_than(gate: Gate, other: Gate) -> Gate:
    """Return `gate` held back so that at no alpha its threshold is below that of `other`.

    Bounds are raised to the least alpha at which `other` would keep answers of that confidence, so that who reads the
    curve for another alpha is held back as well.
    """
    alphas = {point.bound for point in other.curve}
    alphas |= {ONE_ERROR * other.design_effect / point.kept * (1 + ROUNDING) for point in other.curve if point.kept}
    chosen = [(alpha, other.point(alpha)) for alpha in sorted(alphas)]
    curve = []
    for point in gate.curve:
        keeps = (alpha for alpha, at in chosen if at is not None and at.threshold <= point.threshold)
        curve.append(replace(point, bound=max(point.bound, round(next(keeps, 1.0), 6))))
    return chosen_for(replace(gate, curve=tuple(curve)), gate.alpha)


def _curve(
    confidences: NDArray[np.floating], correct: NDArray[np.bool_], effect: float, confidence: float
) -> tuple[GatePoint, ...]:
    """Return a point per threshold, up to the first that keeps all."""
    points: list[GatePoint] = []
    for threshold in GRID:
        mask = confidences >= threshold
        kept, errors = int(mask.sum()), int((~correct[mask]).sum())
        bound = upper_bound(errors / effect, kept / effect, confidence)
        points.append(GatePoint(threshold, kept, errors, round(bound, 6)))
        if kept == len(confidences):
            break
    return tuple(points)
