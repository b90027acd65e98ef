"""Made-up pairs of a face and a voice that show the same emotion: what fusion is fitted and measured on.

No data set at hand labels faces and voices of one person together, so pairs are drawn from the validation examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edge.emotions import EMOTIONS
from edge.fusion import Fusion

SEED = 7


@dataclass(frozen=True)
class Judged:
    """Calibrated 7-way probabilities (N, 7) of one modality with the true emotions (N,)."""

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]

    def take(self, which: NDArray[np.int64]) -> Judged:
        """Return the examples at these indices."""
        return Judged(self.probabilities[which], self.labels[which])

    def measured(self, place: int) -> dict[str, float]:  # noqa: ARG002 - of use where something was measured
        """Return what was measured of one example, as `edge.fusion.Measures` has it; here nothing."""
        return {}


def draw_pairs(face: Judged, speech: Judged, count: int, *, seed: int = SEED) -> tuple[Judged, Judged]:
    """Return `count` pairs of the same emotion, drawn with replacement, emotions equally often; seeded."""
    faces, voices = draw_places(face.labels, speech.labels, count, np.random.default_rng(seed))
    return face.take(faces), speech.take(voices)


def draw_places(
    face: NDArray[np.int64], speech: NDArray[np.int64], count: int, rng: Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices, (count,) each, of pairs of the same emotion among these labels; emotions equally often."""
    emotions = [e for e in range(len(EMOTIONS)) if (face == e).any() and (speech == e).any()]
    wanted = [emotions[number % len(emotions)] for number in range(count)]
    return _examples(face, wanted, rng), _examples(speech, wanted, rng)


def draw_frequent_places(
    face: NDArray[np.int64], speech: NDArray[np.int64], count: int, rng: Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices, (count,) each, of pairs of the same emotion; emotions as often as among these faces."""
    faces = rng.choice(np.flatnonzero(np.isin(face, speech)), count)
    return faces, _examples(speech, face[faces], rng)


def draw_shared_places(
    face: NDArray[np.int64], speech: NDArray[np.int64], shares: Sequence[float], count: int, rng: Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices, (count,) each, of pairs of the same emotion; emotions as often as these 7 shares of 1 say."""
    wanted = rng.choice(len(EMOTIONS), count, p=shares)
    return _examples(face, wanted, rng), _examples(speech, wanted, rng)


def _examples(labels: NDArray[np.int64], wanted: Iterable[int], rng: Generator) -> NDArray[np.int64]:
    """Return the index of an example of each emotion that is wanted, (N,), drawn with replacement."""
    return np.array([rng.choice(np.flatnonzero(labels == emotion)) for emotion in wanted], dtype=np.int64)


def match_pairs(face: Judged, speech: Judged) -> tuple[Judged, Judged]:
    """Return pairs of the same emotion in which no face and no voice occurs twice: independent, as bounds demand.

    No emotion is there more than twice as often as the scarcest, or a bound on all would be one on the easy ones.
    """
    rng = np.random.default_rng(SEED)
    faces, voices = [], []
    there = [min(int((part.labels == emotion).sum()) for part in (face, speech)) for emotion in range(len(EMOTIONS))]
    most = 2 * min((count for count in there if count), default=0)
    for emotion, possible in enumerate(there):
        of_face = rng.permutation(np.flatnonzero(face.labels == emotion))
        of_voice = rng.permutation(np.flatnonzero(speech.labels == emotion))
        count = min(possible, most)
        faces.append(of_face[:count])
        voices.append(of_voice[:count])
    return face.take(np.concatenate(faces)), speech.take(np.concatenate(voices))


def fuse_pairs(face: Judged, speech: Judged, fusion: Fusion) -> NDArray[np.float32]:
    """Return the fused distributions (N, 7) of N pairs, with what was measured of each example."""
    fused = []
    for place, distributions in enumerate(zip(face.probabilities, speech.probabilities, strict=True)):
        both = dict(zip(("face", "speech"), distributions, strict=True))
        fused.append(fusion(both, {"face": face.measured(place), "speech": speech.measured(place)}))
    return np.stack([distribution for distribution in fused if distribution is not None])
