"""Ways to read a sequence of windows, the device's filter among them, and what they do with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.emotions import EMOTIONS
from edge.fusion_rules import centred, sigmoid
from training.calibrate import expected_calibration_error, softmax
from training.sequences import WINDOW_S, Walk
from training.temporal_fit import filtered

VOTES = 5
"""Windows in the majority vote: this one and the four before it, 15 s."""

Way = Callable[[Walk], NDArray[np.floating]]
"""A sequence to distributions (T, 7), NaN where nothing was perceived."""


@dataclass(frozen=True, kw_only=True)
class TemporalFigures:
    """What one way does with many sequences."""

    way: str
    n: int
    """Windows in which anything was perceived."""
    accuracy: float
    ece: float
    flicker_per_minute: float
    """Changes of the label from one window to the next."""
    delay_windows: float | None
    """From a true change to the first window that says so, where it was followed at all; 0: at once."""
    delay_s: float | None
    followed: float | None
    """Share of the true changes that any window says before the next one; None without changes."""


def alone(walk: Walk) -> NDArray[np.floating]:
    """Return each window as it is."""
    return walk.pooled


def sticky(stay: float) -> Way:
    """Return the device's filter."""
    return lambda walk: filtered(walk, stay)


def majority(walk: Walk) -> NDArray[np.floating]:
    """Return the shares of the votes of the last windows; a tie goes to the latest of those who lead."""
    answers = np.full(walk.pooled.shape, np.nan)
    for at in map(int, np.flatnonzero(walk.seen)):
        voters = [t for t in range(max(0, at - VOTES + 1), at + 1) if walk.seen[t]]
        votes = np.zeros(len(EMOTIONS))
        for rank, voter in enumerate(voters):
            votes[walk.pooled[voter].argmax()] += 1.0 + 1e-3 * (rank + 1)
        answers[at] = votes / votes.sum()
    return answers


@dataclass(frozen=True)
class Lstm:
    """One layer of long short-term memory and a softmax, in PyTorch's order of the gates: input, forget, cell, output.

    Hochreiter & Schmidhuber 1997, "Long Short-Term Memory". Trained by `scripts/train temporal`.
    """

    arrays: dict[str, NDArray[np.float64]]

    @classmethod
    def load(cls, path: Path, models: str) -> Lstm | None:
        """Return the net at `path`; None if it is not there or learned from other models than `models` (a digest)."""
        if not path.exists():
            return None
        with np.load(path) as stored:
            if str(stored["models"]) != models:
                return None
            return cls({name: stored[name].astype(np.float64) for name in stored.files if name != "models"})

    def __call__(self, walk: Walk) -> NDArray[np.floating]:
        """Return its distributions, (T, 7)."""
        weights = self.arrays
        units = weights["hidden_weight"].shape[1]
        hidden, cell = np.zeros(units), np.zeros(units)
        answers = np.full(walk.pooled.shape, np.nan)
        for at, row in enumerate(lstm_inputs(walk)):
            gates = weights["input_weight"] @ row + weights["hidden_weight"] @ hidden + weights["bias"]
            come, keep, new, out = np.split(gates, 4)
            cell = sigmoid(keep) * cell + sigmoid(come) * np.tanh(new)
            hidden = sigmoid(out) * np.tanh(cell)
            if walk.seen[at]:
                answers[at] = softmax(weights["out_weight"] @ hidden + weights["out_bias"])
        return answers


def lstm_inputs(walk: Walk) -> NDArray[np.floating]:
    """Return the centred log-probabilities of each window, (T, 7); zeros where nothing was perceived."""
    return np.where(walk.seen[:, None], centred(np.where(walk.seen[:, None], walk.pooled, 1.0)), 0.0)


def figures(name: str, way: Way, walks: Sequence[Walk]) -> TemporalFigures:
    """Return what `way` does with `walks`."""
    answers = [way(walk) for walk in walks]
    probabilities = np.concatenate([answer[walk.seen] for walk, answer in zip(walks, answers, strict=True)])
    truth = np.concatenate([walk.labels[walk.seen] for walk in walks])
    labels = [answer[walk.seen].argmax(axis=1) for walk, answer in zip(walks, answers, strict=True)]
    changes = sum(int((one[1:] != one[:-1]).sum()) for one in labels)
    minutes = sum(len(walk.labels) for walk in walks) * WINDOW_S / 60
    delays = [each for walk, answer in zip(walks, answers, strict=True) for each in change_delays(walk, answer)]
    seen = [delay for delay in delays if delay is not None]
    delay = float(np.mean(seen)) if seen else None
    return TemporalFigures(
        way=name,
        n=len(truth),
        accuracy=float((probabilities.argmax(axis=1) == truth).mean()),
        ece=expected_calibration_error(probabilities, truth),
        flicker_per_minute=changes / minutes,
        delay_windows=delay,
        delay_s=None if delay is None else delay * WINDOW_S,
        followed=len(seen) / len(delays) if delays else None,
    )


def true_changes_per_minute(walks: Sequence[Walk]) -> float:
    """Return how often the truth changes."""
    changes = sum(int((walk.labels[1:] != walk.labels[:-1]).sum()) for walk in walks)
    return changes / (sum(len(walk.labels) for walk in walks) * WINDOW_S / 60)


def change_delays(walk: Walk, answers: NDArray[np.floating]) -> list[int | None]:
    """Return, for each true change, the windows until the answer is the new emotion; None if the next comes before."""
    starts = [0, *(np.flatnonzero(walk.labels[1:] != walk.labels[:-1]) + 1), len(walk.labels)]
    delays: list[int | None] = []
    for start, end in itertools.pairwise(starts[1:]):
        right = [
            at - start
            for at in range(start, end)
            if walk.seen[at] and int(answers[at].argmax()) == int(walk.labels[start])
        ]
        delays.append(int(right[0]) if right else None)
    return delays
