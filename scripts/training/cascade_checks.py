"""What else could have been done with the same answers, measured: another order of asking, another verdict, the gate.

What is fitted here is fitted on one part of the examples and tried on another, groups kept together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.emotions import EMOTIONS
from edge.fusion_rules import PROBABILITY_FLOOR
from edge.perception.manifest import Gate
from training.answers import Answers
from training.cascade import mean_accuracy
from training.gate_fit import expected_gain

SPLITS = 40
RIDGE = 10.0
SHARES_OF_DEVICE = (0.0, 0.25, 0.5, 1.0)
"""Exponents of the device's distribution in a pooled verdict, the cloud's has 1."""


@dataclass(frozen=True)
class Comparison:
    """Something instead of what ships: accuracy won, in points, over `SPLITS` seeded random halves."""

    modality: str
    what: str
    mean: float
    deviation: float
    """Standard deviation over the halves."""

    @property
    def better(self) -> bool:
        """Whether it wins by more than twice its deviation: else it is no reason to change what ships."""
        return self.mean > 2 * self.deviation


@dataclass(frozen=True)
class Kept:
    """What a gate keeps of some examples."""

    modality: str
    n: int
    coverage: float
    error: float | None
    """Among kept; None where nothing is."""
    cascade: float
    """Accuracy when the cloud answers all others."""


def comparisons(modality: str, answers: Answers) -> list[Comparison]:
    """Return what a fitted order of asking, and a pooled verdict, would win; none for fewer than four groups."""
    names = np.unique(answers.groups)
    if len(names) < 4:
        return []
    orders, verdicts = [], []
    rng = np.random.default_rng(0)
    for _ in range(SPLITS):
        half = np.isin(answers.groups, rng.permutation(names)[: len(names) // 2])
        fit, held = answers.take(half), answers.take(~half)
        plain = mean_accuracy(held, 1.0 - held.confidence)
        orders.append(mean_accuracy(held, features(held) @ fit_gain(fit)) - plain)
        best = max(SHARES_OF_DEVICE, key=lambda share: float(pooled_verdict(fit, share).cloud_correct.mean()))
        verdicts.append(float(pooled_verdict(held, best).cloud_correct.mean() - held.cloud_correct.mean()))
    return [
        Comparison(modality, what, 100 * float(np.mean(won)), 100 * float(np.std(won)))
        for what, won in (
            ("order by a fitted estimate of the gain", orders),
            ("verdict pooled with the device", verdicts),
        )
    ]


def features(answers: Answers) -> NDArray[np.float64]:
    """Return what a device could reckon a gain from, (N, 11): 1, confidence, margin, entropy, and doubt by emotion."""
    own = np.asarray(answers.probabilities, dtype=np.float64)
    ranked = np.sort(own, axis=1)[:, ::-1]
    doubt = 1.0 - ranked[:, 0]
    entropy = -(own * np.log(np.maximum(own, PROBABILITY_FLOOR))).sum(axis=1) / np.log(len(EMOTIONS))
    emotion = np.eye(len(EMOTIONS))[own.argmax(axis=1)]
    columns = [np.ones(len(own)), doubt, ranked[:, 0] - ranked[:, 1], entropy]
    return np.concatenate([np.stack(columns, axis=1), emotion * doubt[:, np.newaxis]], axis=1)


def fit_gain(answers: Answers) -> NDArray[np.float64]:
    """Return the weights of a ridge regression of the expected gain on `features`."""
    inputs = features(answers)
    penalty = RIDGE * np.eye(inputs.shape[1])
    return np.asarray(np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ expected_gain(answers)))


def pooled_verdict(answers: Answers, share: float) -> Answers:
    """Return the answers with verdicts pooled log-linearly: cloud * device^share."""
    floored = [np.log(np.maximum(each, PROBABILITY_FLOOR)) for each in (answers.asked, answers.probabilities)]
    weighted = np.exp(floored[0] + share * floored[1])
    return replace(answers, asked=(weighted / weighted.sum(axis=1, keepdims=True)).astype(np.float32))


def kept(modality: str, answers: Answers, gate: Gate) -> Kept:
    """Return what the gate's threshold keeps of the examples, and what the cascade then makes of all of them."""
    sure = np.zeros(len(answers.labels), dtype=bool)
    if gate.threshold is not None:
        sure = answers.confidence >= gate.threshold
    return Kept(
        modality=modality,
        n=len(sure),
        coverage=float(sure.mean()),
        error=float(1 - answers.correct[sure].mean()) if sure.any() else None,
        cascade=float(np.where(sure, answers.correct, answers.cloud_correct).mean()),
    )
