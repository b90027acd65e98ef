"""`scripts/evaluate strangers`: what the speech models are worth to speakers never heard, on sixteen instead of two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edge.perception.manifest import load_manifest, verified_file
from training import report
from training.calibrate import (
    expected_calibration_error,
    fit_scaling,
    least_calibration_error,
    negative_log_likelihood,
    softmax,
)
from training.confusion import unweighted_recall
from training.crossfit import Strangers, strangers_of
from training.errors import TrainingError
from training.models import FOLDERS
from training.packs import read_clips
from training.splits import FOLDS, fold_speakers

NAMES = {"edge": "device", "full": "cloud"}
DRAWS = 2000
SEED = 0

DESCRIPTION = """\
The RAVDESS actors that the speech models were trained on (02 to 17), each judged by nets that were trained without
them and their three neighbours (scripts/training/strangers/), as `scripts/train speech --fold` made them. Temperatures
are fitted on the other folds. The nets heard twelve actors where what ships heard sixteen, and were watched, as what
ships was, on actors 18 and 19. Intervals: 95 %, whole actors drawn anew."""

HEAD = ("model", "UAR", "accuracy", "ECE (if perfect)", "actors")


@dataclass(frozen=True)
class Row:
    """Figures of one model on all its strangers."""

    model: str
    n: int
    uar: float
    accuracy: float
    interval: tuple[float, float]
    """Of the accuracy."""
    ece: float
    least_ece: float
    speakers: dict[str, float]
    """Accuracy of each."""


@dataclass(frozen=True)
class Gain:
    """A difference of accuracies."""

    gain: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Found:
    """All that is measured."""

    models: list[Row]
    cloud_gain: Gain
    """Over the device."""
    nets: int
    """Of the cloud's for each fold."""
    nets_gain: Gain
    """Of their average over one of them, each of them in turn."""
    biases_cost: dict[str, float]
    """By model: nats a clip that biases, fitted with the temperature, lose on the fold that they were not fitted on."""


def main(arguments: Sequence[str]) -> str:
    """Measure; return what is to be printed."""
    options = report.parse("strangers", DESCRIPTION, arguments)
    pack = options.data / "speech" / "ravdess.zip"
    if not pack.exists():
        raise TrainingError(f"no speech data: {pack} is missing. Name its folder with --data or MIEN_DATA_DIR")
    clips = read_clips(pack, split="train")
    inputs, speakers, truth = clips.pack().inputs, clips.columns["speaker"], clips.truth
    logits, singles = {}, {}
    for arch, name in NAMES.items():
        judge = _strangers(arch)
        logits[name] = judge.logits(inputs, speakers)
        singles[name] = [one.logits(inputs, speakers) for one in judge.singly()]
    rows = [figures(name, cross_calibrated(each, truth, speakers), truth, speakers) for name, each in logits.items()]
    right = {name: (each.argmax(axis=1) == truth).astype(float) for name, each in logits.items()}
    alone = np.mean([each.argmax(axis=1) == truth for each in singles["cloud"]], axis=0)
    found = Found(
        rows,
        cloud_gain=_gain(right["cloud"] - right["device"], speakers),
        nets=len(singles["cloud"]),
        nets_gain=_gain(right["cloud"] - alone, speakers),
        biases_cost={name: _biases_cost(each, truth, speakers) for name, each in logits.items()},
    )
    if options.docs:
        report.write_docs("strangers", _text(found, report.markdown))
    return json.dumps(asdict(found)) if options.json else _text(found, report.plain)


def cross_calibrated(
    logits: NDArray[np.float32], truth: NDArray[np.int64], speakers: Sequence[str], *, biased: bool = False
) -> NDArray[np.float64]:
    """Return probabilities (N, 8) of logits (N, 8), each fold's by the scaling that the other folds ask for."""
    probabilities = np.zeros(logits.shape)
    for fold in range(1, FOLDS + 1):
        mine = np.isin(speakers, list(fold_speakers(fold)))
        scaling = fit_scaling(logits[~mine], truth[~mine], biased=biased)
        probabilities[mine] = softmax(logits[mine] / scaling.temperature + np.array(scaling.bias))
    return probabilities


def figures(model: str, probabilities: NDArray[np.floating], truth: NDArray[np.int64], speakers: Sequence[str]) -> Row:
    """Return what probabilities (N, 8) are worth where (N,) is true and these N speak."""
    chosen, names = probabilities.argmax(axis=1), np.array(speakers)
    right = chosen == truth
    return Row(
        model,
        len(truth),
        unweighted_recall(chosen, truth),
        float(right.mean()),
        _interval(right, names),
        expected_calibration_error(probabilities, truth),
        least_calibration_error(probabilities),
        {str(name): float(right[names == name].mean()) for name in np.unique(names)},
    )


def _strangers(arch: str) -> Strangers:
    entry = load_manifest(FOLDERS[arch]).model("speech")
    strangers = strangers_of(verified_file(FOLDERS[arch], entry))
    if strangers is None:
        raise TrainingError(
            f"no nets stand in for {entry.file}: scripts/train speech --arch {arch} --fold 1, then 2, ..."
        )
    return strangers


def _biases_cost(logits: NDArray[np.float32], truth: NDArray[np.int64], speakers: Sequence[str]) -> float:
    with_them, without = (cross_calibrated(logits, truth, speakers, biased=biased) for biased in (True, False))
    return negative_log_likelihood(with_them, truth) - negative_log_likelihood(without, truth)


def _gain(differences: NDArray[np.floating], speakers: Sequence[str]) -> Gain:
    return Gain(float(differences.mean()), _interval(differences, np.array(speakers)))


def _interval(values: NDArray[np.generic], speakers: NDArray[np.str_]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of (N,) values, whole speakers drawn anew."""
    rng = np.random.default_rng(SEED)
    names, place = np.unique(speakers, return_inverse=True)
    sums, counts = np.bincount(place, weights=values.astype(float)), np.bincount(place)
    drawn = rng.integers(len(names), size=(DRAWS, len(names)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _text(found: Found, table: report.Table) -> str:
    cells = [
        (
            row.model,
            f"{row.uar:.3f}",
            f"{row.accuracy:.1%} ({row.interval[0]:.1%} to {row.interval[1]:.1%})",
            f"{row.ece:.3f} ({row.least_ece:.3f})",
            f"{min(row.speakers.values()):.0%} to {max(row.speakers.values()):.0%}",
        )
        for row in found.models
    ]
    first = found.models[0]
    lines = [
        f"{first.n} clips of {len(first.speakers)} actors.\n\n{table(HEAD, cells)}\n",
        f"- Cloud minus device: {_points(found.cloud_gain)}.",
        f"- The average of the cloud's {found.nets} nets minus one of them: {_points(found.nets_gain)}.",
        "- Biases besides the temperature, fitted on the other folds, cost "
        + " and ".join(f"{cost:.3f} nats a clip ({name})" for name, cost in found.biases_cost.items())
        + ".",
    ]
    return "\n".join(lines)


def _points(gain: Gain) -> str:
    low, high = (100 * bound for bound in gain.interval)
    return f"{100 * gain.gain:+.1f} points ({low:+.1f} to {high:+.1f})"
