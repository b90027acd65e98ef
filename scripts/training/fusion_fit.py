"""Fit the exponents of the log-linear pooling on made-up pairs: a face and a voice that show the same emotion.

No data set at hand labels faces and voices of one person together, so pairs are drawn from the calibration halves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from edge.emotions import EMOTIONS
from edge.fusion import fuse
from training.calibrate import negative_log_likelihood

PAIRS = 1000
SEED = 7
LOWEST, HIGHEST = 0.05, 2.0
PULL_TO_ONE = 0.01


@dataclass(frozen=True)
class Judged:
    """Calibrated 7-way probabilities (N, 7) of one modality with the true emotions (N,)."""

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]

    def take(self, which: NDArray[np.int64]) -> Judged:
        """Return the examples at these indices."""
        return Judged(self.probabilities[which], self.labels[which])


def draw_pairs(face: Judged, speech: Judged, count: int) -> tuple[Judged, Judged]:
    """Return `count` pairs of the same emotion, drawn with replacement, emotions equally often; seeded."""
    rng = np.random.default_rng(SEED)
    emotions = [e for e in range(len(EMOTIONS)) if (face.labels == e).any() and (speech.labels == e).any()]
    wanted = [emotions[number % len(emotions)] for number in range(count)]
    faces = np.array([rng.choice(np.flatnonzero(face.labels == emotion)) for emotion in wanted])
    voices = np.array([rng.choice(np.flatnonzero(speech.labels == emotion)) for emotion in wanted])
    return face.take(faces), speech.take(voices)


def match_pairs(face: Judged, speech: Judged) -> tuple[Judged, Judged]:
    """Return pairs of the same emotion in which no face and no voice occurs twice: independent, as bounds demand."""
    rng = np.random.default_rng(SEED)
    faces, voices = [], []
    for emotion in range(len(EMOTIONS)):
        of_face = rng.permutation(np.flatnonzero(face.labels == emotion))
        of_voice = rng.permutation(np.flatnonzero(speech.labels == emotion))
        count = min(len(of_face), len(of_voice))
        faces.append(of_face[:count])
        voices.append(of_voice[:count])
    return face.take(np.concatenate(faces)), speech.take(np.concatenate(voices))


def fuse_pairs(face: Judged, speech: Judged, weights: dict[str, float]) -> NDArray[np.float32]:
    """Return the pooled distributions (N, 7) of N pairs, both modalities fully reliable."""
    pooled = [
        fuse({"face": one, "speech": other}, weights, {})
        for one, other in zip(face.probabilities, speech.probabilities, strict=True)
    ]
    return np.stack([distribution for distribution in pooled if distribution is not None])


def fit_weights(face: Judged, speech: Judged) -> dict[str, float]:
    """Return the exponents {"face": a, "speech": b} that give the pairs' true emotions the highest likelihood."""
    pairs = draw_pairs(face, speech, PAIRS)

    def loss(exponents: NDArray[np.float64]) -> float:
        a, b = np.clip(exponents, LOWEST, HIGHEST)
        pooled = fuse_pairs(*pairs, {"face": float(a), "speech": float(b)})
        distance = float(((exponents - 1) ** 2).sum())
        return negative_log_likelihood(pooled, pairs[0].labels) + PULL_TO_ONE * distance

    best = minimize(loss, np.ones(2), method="Nelder-Mead", options={"maxfev": 60, "xatol": 0.01, "fatol": 1e-4}).x
    a, b = np.clip(best, LOWEST, HIGHEST)
    return {"face": round(float(a), 3), "speech": round(float(b), 3)}
