"""The picture of `scripts/evaluate temporal`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from training.temporal_rules import TemporalFigures


def plot_temporal(
    curve: Sequence[TemporalFigures], truth_per_minute: float, ways: Sequence[TemporalFigures], path: Path
) -> None:
    """Draw flicker over delay: the filter at every stay as a line, whose points bear its name, the others as dots."""
    highest = max(row.flicker_per_minute for row in (*curve, *ways))
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    axes.plot(
        [_x(row) for row in curve], [row.flicker_per_minute for row in curve], marker=".", label="filter, by stay"
    )
    for row in curve:
        axes.annotate(row.way, (_x(row), row.flicker_per_minute), textcoords="offset points", xytext=(4, 4), fontsize=7)
    for row in ways:
        if not row.way.startswith("filter"):
            axes.scatter([_x(row)], [row.flicker_per_minute], label=row.way, zorder=3)
    axes.axhline(truth_per_minute, linestyle=":", color="grey", label="true changes")
    axes.set(xlabel="delay to a true change, s", ylabel="changes of the label a minute", ylim=(0, 1.1 * highest))
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)


def _x(row: TemporalFigures) -> float:
    return row.delay_s or 0.0
