"""All modalities together: weighted average and majority vote. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cloud.analyse.results import MediaResult, Modality, ModalityShare, Overall, TextJudged
from edge.emotions import EMOTIONS
from edge.protocol import Distribution, distribution

LEAST_WEIGHT = 1e-3
"""A modality that was given counts, however little it is worth."""


@dataclass(frozen=True)
class Judgement:
    """One vote."""

    modality: Modality
    emotion: str
    probs: tuple[float, ...]
    """(7,)"""
    reliability: float
    """In [0, 1]."""
    unsure: bool


def overall(parts: Sequence[MediaResult | TextJudged]) -> Overall | None:
    """Return what all parts say together; None if they say nothing."""
    judged: dict[Modality, list[Judgement]] = {}
    for part in parts:
        for judgement in judgements(part):
            judged.setdefault(judgement.modality, []).append(judgement)
    if not judged:
        return None
    shares = [_share(modality, found) for modality, found in judged.items()]
    weights = np.array([share.weight for share in shares])
    rows = np.array([[share.distribution.probs[emotion] for emotion in EMOTIONS] for share in shares])
    average = distribution(EMOTIONS, (weights @ rows / weights.sum()).tolist())
    votes: Counter[str] = Counter()
    for share in shares:
        votes.update(share.votes)
    winner = max(EMOTIONS, key=lambda emotion: (votes[emotion], average.probs[emotion]))
    doubtful = sum(share.unsure_votes for share in shares) * 2 > votes.total()
    return Overall(
        modalities=shares,
        weighted_average=average,
        majority_vote=winner,
        votes=_ordered(votes),
        unsure=doubtful or winner != average.emotion,
    )


def judgements(part: MediaResult | TextJudged) -> Iterator[Judgement]:
    """Yield the votes of a part: of a picture its faces, of sound and video their windows, of a text its sentences."""
    if isinstance(part, TextJudged):
        for sentence in part.text.parts:
            probs = _seven(sentence.distribution)
            yield Judgement("text", sentence.label, probs, part.text.known_words, part.text.unsure)
        return
    if part.kind == "image":
        for face in (face for frame in part.frames for face in frame.faces):
            yield _vote("face", face.expression, face.quality, unsure=face.unsure)
        return
    for window in part.windows:
        if window.face is not None:
            yield _vote("face", window.face, window.face_quality or 0.0, unsure=window.unsure)
        if window.speech is not None:
            yield _vote("speech", window.speech, window.voiced_share or 0.0, unsure=window.unsure)


def _vote(modality: Modality, said: Distribution, reliability: float, *, unsure: bool) -> Judgement:
    probs = _seven(said)
    return Judgement(modality, EMOTIONS[int(np.argmax(probs))], probs, reliability, unsure)


def _seven(said: Distribution) -> tuple[float, ...]:
    """Return the probabilities in the order of EMOTIONS; calm counts as neutral."""
    folded = dict(said.probs)
    folded["neutral"] += folded.pop("calm", 0.0)
    return tuple(folded[emotion] for emotion in EMOTIONS)


def _share(modality: Modality, found: list[Judgement]) -> ModalityShare:
    weights = np.array([max(each.reliability, LEAST_WEIGHT) for each in found])
    mean = weights @ np.array([each.probs for each in found]) / weights.sum()
    return ModalityShare(
        modality=modality,
        distribution=distribution(EMOTIONS, mean.tolist()),
        weight=round(float(weights.mean()), 4),
        votes=_ordered(Counter(each.emotion for each in found)),
        unsure_votes=sum(each.unsure for each in found),
    )


def _ordered(votes: Counter[str]) -> dict[str, int]:
    return {emotion: votes[emotion] for emotion in EMOTIONS if votes[emotion]}
