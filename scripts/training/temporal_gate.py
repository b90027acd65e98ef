"""Which confidence the gate should judge: that of the window, or that of the filter.

Decided on the calibration half. The gate's thresholds are chosen on single windows; so are these, on single windows as
the sequences have them, faces and voices made worse among them: then whatever goes beyond the error rate is the
filter's doing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.fusion import Fusion
from training.fusion_data import Side
from training.sequences import REPEAT, Walk, simulate
from training.temporal_fit import filtered

ALPHA = 0.10
REPEATS = (0.0, REPEAT, 0.9)
SEQUENCES = 200
SEED, THRESHOLD_SEED = 61, 62
FILTERED, SHIPS = "the filter's", "the window's, of the published emotion (ships)"

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class GateFigures:
    """What the gate keeps, and how much of it is wrong, if it judges one confidence or another."""

    judged: str
    repeat: float
    kept: float
    wrong: float


def compare_confidences(side: Side, fusion: Fusion, stay: float, sequences: int = SEQUENCES) -> list[GateFigures]:
    """Return what happens with each confidence that the gate could judge, at each degree of dependence."""
    thresholds = single_thresholds(simulate(side, fusion, sequences, seed=THRESHOLD_SEED, repeat=0.0))
    found = []
    for repeat in REPEATS:
        found += gate_figures(simulate(side, fusion, sequences, seed=SEED, repeat=repeat), thresholds, stay, repeat)
    return found


def single_thresholds(walks: Sequence[Walk]) -> dict[str, float]:
    """Return, by set of modalities, the lowest confidence from which on single windows are wrong in 10 % at most."""
    pooled, truth, sets = _windows(walks, [walk.pooled for walk in walks])
    thresholds = {}
    for name in np.unique(sets):
        mine = sets == name
        confidence, wrong = pooled[mine].max(axis=1), pooled[mine].argmax(axis=1) != truth[mine]
        order = np.argsort(-confidence)
        rate = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
        within = np.flatnonzero(rate <= ALPHA)
        thresholds[str(name)] = float(confidence[order][within[-1]]) if len(within) else np.inf
    return thresholds


def gate_figures(walks: Sequence[Walk], thresholds: dict[str, float], stay: float, repeat: float) -> list[GateFigures]:
    """Return what the gate keeps of `walks` by each confidence, with a filter of this `stay`."""
    pooled, truth, sets = _windows(walks, [walk.pooled for walk in walks])
    fused, _, _ = _windows(walks, [filtered(walk, stay) for walk in walks])
    asked = np.array([thresholds.get(name, np.inf) for name in sets])
    own, published = pooled.argmax(axis=1), fused.argmax(axis=1)
    judged = {
        "the window's, its own label published": (pooled.max(axis=1), own),
        FILTERED: (fused.max(axis=1), published),
        "the window's largest": (pooled.max(axis=1), published),
        SHIPS: (pooled[np.arange(len(truth)), published], published),
    }
    found = []
    for name, (confidence, label) in judged.items():
        kept = confidence >= asked
        wrong = float((label[kept] != truth[kept]).mean()) if kept.any() else 0.0
        found.append(GateFigures(judged=name, repeat=repeat, kept=float(kept.mean()), wrong=wrong))
    return found


def _windows(walks: Sequence[Walk], answers: Sequence[Floats]) -> tuple[Floats, NDArray[np.int64], NDArray[np.str_]]:
    """Return answers, truths and sets of modalities of all windows in which anything was perceived."""
    rows = np.concatenate([answer[walk.seen] for walk, answer in zip(walks, answers, strict=True)])
    truth = np.concatenate([walk.labels[walk.seen] for walk in walks])
    return rows, truth, np.concatenate([np.array(walk.modalities)[walk.seen] for walk in walks])
