"""Figures of right and wrong, from the classes chosen and the true ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(chosen: NDArray[np.int64], truth: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return counts of shape (classes, classes): rows are the truth, columns what was chosen."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, chosen), 1)
    return counts


def unweighted_recall(chosen: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Return the UAR: the mean over the emotions that occur of the share of each that was recognised."""
    recalls = [(chosen[truth == emotion] == emotion).mean() for emotion in np.unique(truth)]
    return float(np.mean(recalls))


def macro_f1(counts: NDArray[np.int64]) -> float:
    """Return the mean F1 over the emotions that occur, from a confusion matrix."""
    right = np.diag(counts).astype(float)
    true, chosen = counts.sum(axis=1), counts.sum(axis=0)
    occur = true > 0
    return float(np.mean(2.0 * right[occur] / (true + chosen)[occur]))
