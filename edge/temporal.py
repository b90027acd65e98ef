"""Filtering readings over time. Pure.

The forward algorithm of a hidden Markov model whose states are the emotions and whose transitions are sticky: with
probability `stay` the emotion of the last window goes on, else any other is equally likely (Rabiner 1989, "A Tutorial
on Hidden Markov Models", eq. 20). The pooled distribution stands for the likelihood under a uniform prior.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

DEFAULT_STAY = 0.5


class FilterFit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What training chose, on simulated sequences of calibration examples: `filter` in the manifest."""

    stay: float
    seed: int
    sequences: int


def stay_of(fit: FilterFit | None) -> float:
    """Return how sticky the manifest's filter is; None: a manifest of an older release."""
    return DEFAULT_STAY if fit is None else fit.stay


def own_confidence(pooled: NDArray[np.float32] | None, filtered: NDArray[np.float32] | None) -> float | None:
    """Return what a window by itself, `pooled`, gives to the emotion that the filter says: what the gate judges.

    Thresholds were chosen on single windows, and what the filter adds is not of this window's making.
    """
    return None if pooled is None or filtered is None else float(pooled[int(filtered.argmax())])


class TemporalFilter:
    """Keeps the belief over emotions from window to window.

    >>> filtered = TemporalFilter(stay=0.5).update(pooled)

    With `stay` = 1/7 it does nothing; the first window after `reset` passes through unchanged.
    """

    def __init__(self, *, stay: float = DEFAULT_STAY) -> None:
        self._stay = stay
        self._belief: NDArray[np.float64] | None = None

    def reset(self) -> None:
        """Forget the past, as at the start of a clip or after a gap."""
        self._belief = None

    def update(self, pooled: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """Take the distribution of a window, shape (7,), and return the filtered one.

        None, a window without face and voice, relaxes the belief towards uniform and returns None.
        """
        prior = self._predict(0 if pooled is None else len(pooled))
        if pooled is None:
            self._belief = prior
            return None
        posterior = pooled.astype(np.float64) if prior is None else prior * pooled
        self._belief = posterior / posterior.sum()
        return self._belief.astype(np.float32)

    def _predict(self, states: int) -> NDArray[np.float64] | None:
        if self._belief is None:
            return None
        states = states or len(self._belief)
        move = (1.0 - self._stay) / (states - 1)
        return self._belief * self._stay + (1.0 - self._belief) * move
