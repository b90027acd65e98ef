"""How a model does on groups of examples: speakers' sex, any other column of a pack, the quality of pictures.

Each share comes with an interval, for groups are small. Clips of one speaker are not independent, so with `clusters`
whole speakers are drawn anew. With two to four of them that says little, and known to be too narrow (Cameron, Gelbach &
Miller 2008, "Bootstrap-based improvements for inference with clustered errors"); it is never narrower than Wilson's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.confusion import unweighted_recall

Z_95 = 1.959964
"""97.5 % quantile of the standard normal distribution."""

DRAWS = 2000
FEW_SPEAKERS = 10
FEW_NOTE = (
    "Whole speakers were drawn anew for these intervals; with so few the true ones are wider, and one speaker says "
    "nothing about others."
)
LEVELS = ("low", "middle", "high")
QUALITIES = ("sharpness", "brightness", "contrast")


@dataclass(frozen=True, kw_only=True)
class GroupFigures:
    """One group of examples."""

    group: str
    n: int
    accuracy: float
    uar: float
    """Over the emotions that occur in the group."""
    low: float
    """Lower end of the 95 % interval of the accuracy."""
    high: float
    clusters: int | None
    """Speakers in the group; None where examples count as independent. One alone says nothing about others."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Between the best and the worst group."""

    best: str
    worst: str
    accuracy: float
    """Accuracy of the best less that of the worst, in [0, 1]."""
    low: float
    """Lower end of its 95 % interval; 0 or less: the gap may be chance. Of many groups the largest gap is flattered."""
    high: float


def group_figures(
    probabilities: NDArray[np.float32],
    truth: NDArray[np.int64],
    groups: Sequence[str],
    clusters: Sequence[str] | None = None,
) -> list[GroupFigures]:
    """Return the figures of each group, in the order of `LEVELS` or of the alphabet.

    `probabilities` (N, labels), `truth` (N,) indices of labels, `groups` N names, `clusters` N speakers or None.
    Raises ValueError if the lengths differ.
    """
    if not len(probabilities) == len(truth) == len(groups) == len(groups if clusters is None else clusters):
        raise ValueError("probabilities, truth, groups and clusters must have one entry per example")
    chosen, names = probabilities.argmax(axis=1), np.asarray(groups)
    speakers = None if clusters is None else np.asarray(clusters)
    return [
        _figures(name, chosen[mask], truth[mask], None if speakers is None else speakers[mask])
        for name, mask in ((name, names == name) for name in sorted(set(groups), key=_order))
    ]


def largest_gap(figures: Sequence[GroupFigures]) -> Gap | None:
    """Return the gap in accuracy between the best and the worst group; None where there are not two.

    Its interval comes from theirs by Newcombe's rule (1998, "Interval estimation for the difference between independent
    proportions", method 10).
    """
    if len(figures) < 2:
        return None
    best = max(figures, key=lambda each: each.accuracy)
    worst = min(figures, key=lambda each: each.accuracy)
    gap = best.accuracy - worst.accuracy
    return Gap(
        best=best.group,
        worst=worst.group,
        accuracy=gap,
        low=gap - math.hypot(best.accuracy - best.low, worst.high - worst.accuracy),
        high=gap + math.hypot(best.high - best.accuracy, worst.accuracy - worst.low),
    )


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, `right` of `n` > 0 (Wilson 1927)."""
    share, spread = right / n, Z_95**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z_95 * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def cluster_interval(right: NDArray[np.bool_], clusters: NDArray[np.str_], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the mean of `right` (N,) from drawing whole `clusters` (N,) anew, with return."""
    names, index = np.unique(clusters, return_inverse=True)
    totals, rights = np.bincount(index), np.bincount(index, weights=right)
    drawn = np.random.default_rng(seed).integers(len(names), size=(DRAWS, len(names)))
    low, high = np.quantile(rights[drawn].sum(axis=1) / totals[drawn].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def quality_groups(faces: NDArray[np.float32]) -> dict[str, list[str]]:
    """Return three groupings of `faces`, (N, 48, 48) in [0, 1], each into its terciles `low`, `middle` and `high`.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000), brightness the mean, contrast the deviation.
    """
    measures = {
        "sharpness": [float(cv2.Laplacian(face, cv2.CV_32F).var()) for face in faces],
        "brightness": [float(face.mean()) for face in faces],
        "contrast": [float(face.std()) for face in faces],
    }
    return {name: _terciles(np.asarray(values)) for name, values in measures.items()}


def groups_json(groupings: Mapping[str, Sequence[GroupFigures]]) -> dict[str, object]:
    """Return, per grouping, `groups` (a list) and `largest_gap` (null where there is one group), as JSON has them."""
    return {
        name: {
            "groups": [asdict(each) for each in figures],
            "largest_gap": None if (gap := largest_gap(figures)) is None else asdict(gap),
        }
        for name, figures in groupings.items()
    }


def groups_markdown(groupings: Mapping[str, Sequence[GroupFigures]]) -> str:
    """Return a table for a model card: one row per group of each grouping, and its largest gap."""
    rows = ["| group | n | accuracy | 95 % interval | UAR | largest gap |", "|" + " --- |" * 6]
    for grouping, figures in groupings.items():
        gap = largest_gap(figures)
        for each in figures:
            note = gap_text(gap) if gap is not None and each is figures[0] else ""
            rows.append(
                f"| {grouping}: {each.group} | {_count(each)} | {each.accuracy:.1%} | {_interval(each)} "
                f"| {each.uar:.1%} | {note} |"
            )
    return "\n".join([*rows, *(["", FEW_NOTE] if _few(groupings) else [])])


def groups_table(groupings: Mapping[str, Sequence[GroupFigures]]) -> str:
    """Return the same for people at a terminal."""
    lines = []
    for grouping, figures in groupings.items():
        width = max(len(grouping), *(len(each.group) for each in figures)) + 2
        lines += ["", f"{grouping:{width}}{'n':>18}{'accuracy':>10}{'95 % interval':>18}{'UAR':>8}"]
        for each in figures:
            lines.append(
                f"{each.group:{width}}{_count(each):>18}{each.accuracy:>10.1%}{_interval(each):>18}{each.uar:>8.1%}"
            )
        gap = largest_gap(figures)
        if gap is not None:
            lines.append(f"largest gap: {gap_text(gap)}")
    return "\n".join([*lines, *(["", FEW_NOTE] if _few(groupings) else [])])


def gap_text(gap: Gap) -> str:
    """Return the gap in words."""
    chance = ": may be chance" if gap.low <= 0 else ""
    points = f"{100 * gap.accuracy:.1f} points ({100 * gap.low:.1f} to {100 * gap.high:.1f})"
    return f"{gap.best} over {gap.worst} by {points}{chance}"


def _figures(
    name: str, chosen: NDArray[np.int64], truth: NDArray[np.int64], clusters: NDArray[np.str_] | None
) -> GroupFigures:
    right = chosen == truth
    low, high = wilson(int(right.sum()), len(right))
    if clusters is not None:
        ends = cluster_interval(right, clusters)
        low, high = min(low, ends[0]), max(high, ends[1])
    return GroupFigures(
        group=name,
        n=len(right),
        accuracy=float(right.mean()),
        uar=unweighted_recall(chosen, truth),
        low=low,
        high=high,
        clusters=None if clusters is None else len(set(clusters)),
    )


def _few(groupings: Mapping[str, Sequence[GroupFigures]]) -> bool:
    every = (each for figures in groupings.values() for each in figures)
    return any(each.clusters is not None and each.clusters < FEW_SPEAKERS for each in every)


def _terciles(values: NDArray[np.float64]) -> list[str]:
    edges = np.quantile(values, (1 / 3, 2 / 3))
    return [LEVELS[index] for index in np.searchsorted(edges, values, side="left")]


def _order(name: str) -> tuple[int, str]:
    return (LEVELS.index(name) if name in LEVELS else -1), name


def _interval(figures: GroupFigures) -> str:
    return f"{figures.low:.1%} to {figures.high:.1%}"


def _count(figures: GroupFigures) -> str:
    if figures.clusters is None:
        return str(figures.n)
    return f"{figures.n} of {figures.clusters} speaker" + ("s" if figures.clusters != 1 else "")
