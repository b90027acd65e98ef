"""How a text model does: figures on rows of one emotion, on all rows, and without texts that stand in two splits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud.inference.text import Judged, TextModel
from edge.emotions import EMOTIONS
from edge.errors import ModelError
from training.confusion import confusion_matrix, macro_f1, unweighted_recall
from training.errors import TrainingError
from training.text.data import PACK, of_split, overlapping, read_texts, truth

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "cloud" / "models" / "text"
SET_THRESHOLD = 0.3
"""At which GoEmotions' authors count an emotion as said, for their figures over sets (arXiv:2005.00547)."""


def evaluate_text(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Return the figures on `--data`, else on the pack in the folder `data`. Raises TrainingError or ModelError."""
    path = options.data or data / PACK
    rows = read_texts(path)
    chosen = of_split(rows, options.split, path)
    given = truth(chosen)
    model = TextModel(_folder(options.model))
    return figures_of_rows(model.judge([row.text for row in chosen]), given, overlapping(chosen, rows), model.threshold)


def figures_of_rows(
    judged: Judged, given: NDArray[np.bool_], twice: NDArray[np.bool_], threshold: float | None
) -> dict[str, Any]:
    """Return the figures on rows of one emotion, and under further keys those of the other ways to count.

    `given` (N, 7) are the emotions that people gave, `twice` (N,) marks rows that stand in another split too.
    `all_rows`: a row of several emotions is right if the answer is one of them, which then is its truth; else the first
    of them is, in our order. `without_overlaps`: rows of one emotion that stand in no other split.
    `macro_f1_sets` is over sets of emotions, those above 0.3, on all rows: the way BERT's figure was made.
    """
    single = given.sum(axis=1) == 1
    if not single.any():
        raise TrainingError("no row has one emotion only")
    right = given[np.arange(len(given)), judged.labels]
    one_of = np.where(right, judged.labels, given.argmax(axis=1))
    whole = _figures(judged, one_of, single)
    counts = whole["confusion"]
    result = {**whole, "all_rows": _without_counts(_figures(judged, one_of, np.ones_like(single)))}
    if twice.any() and not twice.all() and (single & ~twice).any():
        result["without_overlaps"] = _without_counts(_figures(judged, one_of, single & ~twice))
    result["macro_f1_sets"] = f1_of_sets(judged.probabilities >= SET_THRESHOLD, given)
    result["kept"] = _kept(judged, one_of, single, threshold)
    return {**result, "confusion": counts}


def f1_of_sets(said: NDArray[np.bool_], given: NDArray[np.bool_]) -> float:
    """Return the mean over the emotions that occur of the F1 of saying each, both (N, 7)."""
    occur = given.any(axis=0)
    both = (said & given).sum(axis=0)[occur]
    return float(np.mean(2.0 * both / (said.sum(axis=0) + given.sum(axis=0))[occur]))


def decision_confidence(judged: Judged) -> NDArray[np.float32]:
    """Return, (N,), the calibrated probability of what was decided."""
    return np.asarray(judged.probabilities[np.arange(len(judged.labels)), judged.labels], dtype=np.float32)


def decision_ece(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 15) -> float:
    """Return the expected calibration error of the decisions, whether or not they have the largest probability."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(right[place == b].mean() - confidence[place == b].mean()) * (place == b).mean() for b in set(place)]
    return float(sum(gaps))


def text_table(figures: dict[str, Any]) -> str:
    """Return the figures for people at a terminal."""
    lines = [_line("", figures), _line("all rows, any of its emotions right: ", figures["all_rows"])]
    if "without_overlaps" in figures:
        lines.append(_line("without texts that stand in another split: ", figures["without_overlaps"]))
    lines.append(f"sets of emotions above {SET_THRESHOLD}, all rows: macro-F1 {figures['macro_f1_sets']:.3f}")
    kept = figures["kept"]
    lines.append(f"sure of {kept['share']:.1%}, of which wrong {kept['error']:.1%} (threshold {kept['threshold']})")
    lines += ["", f"{'':10}{'recall':>8}{'F1':>8}  recognised as"]
    lines.append(f"{'':26}" + "".join(f"{label:>10}" for label in EMOTIONS))
    for row, label in zip(figures["confusion"], EMOTIONS, strict=True):
        shares = "".join(
            "       -" if value is None else f"{value:>8.1%}"
            for value in (figures["per_class"][label], figures["f1_per_class"][label])
        )
        lines.append(f"{label:10}{shares}" + "".join(f"{count:>10}" for count in row))
    return "\n".join(lines)


def _figures(judged: Judged, given: NDArray[np.int64], rows: NDArray[np.bool_]) -> dict[str, Any]:
    chosen, true = judged.labels[rows], given[rows]
    counts = confusion_matrix(chosen, true, len(EMOTIONS))
    total, said, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    return {
        "n": len(true),
        "accuracy": float((chosen == true).mean()),
        "uar": unweighted_recall(chosen, true),
        "macro_f1": macro_f1(counts),
        "ece": decision_ece(decision_confidence(judged)[rows], chosen == true),
        "per_class": {e: float(right[i] / total[i]) if total[i] else None for i, e in enumerate(EMOTIONS)},
        "f1_per_class": {
            e: float(2 * right[i] / (total[i] + said[i])) if total[i] else None for i, e in enumerate(EMOTIONS)
        },
        "confusion": counts.tolist(),
    }


def _without_counts(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if key != "confusion"}


def _kept(
    judged: Judged, given: NDArray[np.int64], rows: NDArray[np.bool_], threshold: float | None
) -> dict[str, float | None]:
    kept = rows & (decision_confidence(judged) >= (2.0 if threshold is None else threshold))
    error = float((judged.labels != given)[kept].mean()) if kept.any() else 0.0
    return {"threshold": threshold, "share": float(kept.sum() / rows.sum()), "error": error}


def _folder(model: str) -> Path:
    """Return where the model named on the command line is. Raises ModelError if it is no folder."""
    folder = SHIPPED if model in ("edge", "full") else Path(model)
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is no folder", fix="--model of text takes `full`, or a folder with a manifest.json."
        )
    return folder


def _line(title: str, figures: dict[str, Any]) -> str:
    return (
        f"{title}n {figures['n']}  accuracy {figures['accuracy']:.1%}  UAR {figures['uar']:.1%}  "
        f"macro-F1 {figures['macro_f1']:.3f}  ECE {figures['ece']:.3f} (15 bins)"
    )
