"""Simulated sequences of windows in which one person's emotion lasts a while and then becomes another.

Nobody has labelled hours of one person second by second, so windows are strung together from validation examples. How
long an emotion lasts, and how alike neighbouring windows are, are assumptions, stated here: an emotion holds for 2 to
20 windows (6 s to a minute, each doubling equally likely), and a window repeats the examples of the one before it with
probability `repeat`: what a net gets wrong about a face it gets wrong again three seconds later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.fusion import Fusion
from training.fusion_data import CLEAN, FACES, VOICES, Measured, Side

LENGTH = 60
"""Windows: three minutes."""
WINDOW_S = 3.0
SHORTEST, LONGEST = 2, 20
REPEAT = 0.5
NO_FACE, NO_VOICE = 0.1, 0.3
"""Shares of windows without a face, and without a voice, drawn apart from each other."""


@dataclass(frozen=True)
class Walk:
    """T windows, one after another."""

    labels: NDArray[np.int64]
    """(T,) true emotions."""
    pooled: NDArray[np.float32]
    """(T, 7): fused, not filtered; a row of NaN where neither face nor voice was perceived."""
    modalities: tuple[str, ...]
    """T sets of modalities as the gate names them; empty where nothing was perceived."""

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(T,) where anything was perceived."""
        return ~np.isnan(self.pooled[:, 0])


def simulate(side: Side, fusion: Fusion, count: int, *, seed: int, repeat: float = REPEAT) -> list[Walk]:
    """Return `count` sequences of 60 windows, their examples drawn from `side`; seeded."""
    rng = np.random.default_rng(seed)
    return [_walk(side, fusion, rng, repeat) for _ in range(count)]


def true_emotions(emotions: NDArray[np.int64], length: int, rng: Generator) -> NDArray[np.int64]:
    """Return a sequence, (length,), of emotions that last, each unlike the one before it."""
    labels: list[int] = []
    while len(labels) < length:
        others = [each for each in emotions if not labels or each != labels[-1]]
        hold = round(np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST))))
        labels += [int(rng.choice(others))] * hold
    return np.array(labels[:length])


def _walk(side: Side, fusion: Fusion, rng: Generator, repeat: float) -> Walk:
    faces, voices = side.faces[CLEAN].labels, side.voices[CLEAN].labels
    labels = true_emotions(np.intersect1d(faces, voices), LENGTH, rng)
    pooled = np.full((LENGTH, 7), np.nan, np.float32)
    modalities = []
    window: dict[str, tuple[Measured, int]] = {}
    for at, label in enumerate(labels):
        if at == 0 or label != labels[at - 1] or rng.random() >= repeat:
            window = {
                "face": (side.faces[_condition(FACES, rng)], int(rng.choice(np.flatnonzero(faces == label)))),
                "speech": (side.voices[_condition(VOICES, rng)], int(rng.choice(np.flatnonzero(voices == label)))),
            }
            absent = {name for name, share in (("face", NO_FACE), ("speech", NO_VOICE)) if rng.random() < share}
            window = {name: one for name, one in window.items() if name not in absent and one[0].heard(one[1])}
        fused = fusion(
            {name: judged.probabilities[place] for name, (judged, place) in window.items()},
            {name: judged.measured(place) for name, (judged, place) in window.items()},
        )
        if fused is not None:
            pooled[at] = fused
        modalities.append("+".join(sorted(window)))
    return Walk(labels, pooled, tuple(modalities))


def _condition(worse: Iterable[str], rng: Generator) -> str:
    return str(rng.choice([CLEAN, CLEAN, *worse]))
