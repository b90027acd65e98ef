"""Figures of one model: how right it is, how calibrated, and what quantisation cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.perception.manifest import Output
from training.calibrate import expected_calibration_error, fit_scaling, least_calibration_error, softmax
from training.confusion import unweighted_recall
from training.examples import Half


@dataclass(frozen=True)
class Judgement:
    """The logits, (N, logits), of the shipped file and of the trained float32 net for half of the validation data."""

    half: Half
    shipped: NDArray[np.float32]
    trained: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class HeadFigures:
    """One head on the held-back half."""

    n: int
    accuracy: float
    float_accuracy: float
    """Of the trained net, calibrated alike."""
    uar: float
    ece: float
    uncalibrated_ece: float
    least_ece: float
    """What perfect confidences would show with so few examples."""
    recalls: dict[str, float]
    counts: dict[str, int]
    subsets: dict[str, tuple[float, float, int]]
    """Name -> (accuracy, UAR, n)."""


def slices(heads: dict[str, tuple[str, ...]]) -> dict[str, slice]:
    """Return where each head's logits stand in the concatenated output."""
    places, start = {}, 0
    for name, labels in heads.items():
        places[name] = slice(start, start + len(labels))
        start += len(labels)
    return places


def calibrated_output(
    name: str, labels: tuple[str, ...], place: slice, fitted_on: Sequence[Judgement], held_back: Judgement
) -> Output:
    """Fit the scaling of a head on all that it may be fitted on, measure its ECE on the half that is held back."""
    truth = np.concatenate([each.half.labels[name] for each in fitted_on])
    known = truth >= 0
    logits = np.concatenate([each.shipped[:, place] for each in fitted_on])
    scaling = fit_scaling(logits[known], truth[known], biased=fitted_on[0].half.speakers is None)
    truth = held_back.half.labels[name]
    known = truth >= 0
    output = Output(name, labels, scaling.temperature, scaling.bias, 0.0, "")
    ece = expected_calibration_error(output.calibrate(held_back.shipped[known, place]), truth[known])
    split = f"{held_back.half.title}, n={int(known.sum())}"
    return Output(name, labels, scaling.temperature, scaling.bias, round(ece, 4), split)


def head_figures(output: Output, place: slice, judgement: Judgement) -> HeadFigures:
    """Return the figures of a head on the examples of `judgement` that have a label for it."""
    truth = judgement.half.labels[output.name]
    known = truth >= 0
    truth, logits = truth[known], judgement.shipped[known, place]
    probabilities = output.calibrate(logits)
    chosen = probabilities.argmax(axis=1)
    from_float = output.calibrate(judgement.trained[known, place]).argmax(axis=1)
    subsets = {title: mask[known] for title, mask in judgement.half.subsets.items()}
    return HeadFigures(
        n=len(truth),
        accuracy=_accuracy(chosen, truth),
        float_accuracy=_accuracy(from_float, truth),
        uar=unweighted_recall(chosen, truth),
        ece=output.ece,
        uncalibrated_ece=expected_calibration_error(softmax(logits), truth),
        least_ece=least_calibration_error(probabilities),
        recalls={output.labels[e]: _accuracy(chosen[truth == e], truth[truth == e]) for e in np.unique(truth)},
        counts={output.labels[e]: int((truth == e).sum()) for e in np.unique(truth)},
        subsets={
            title: (_accuracy(chosen[mask], truth[mask]), unweighted_recall(chosen[mask], truth[mask]), int(mask.sum()))
            for title, mask in subsets.items()
        },
    )


def _accuracy(chosen: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    return float((chosen == truth).mean())
