"""Accuracy under changed conditions as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # before pyplot is imported: there may be no display

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from training.robustness import RobustnessFigures, by_condition

COLUMNS = 4


def plot_robustness(rows: Sequence[RobustnessFigures], title: str, path: Path) -> None:
    """Draw accuracy against level, a panel per condition, to `path`, a PNG. The first of `rows` is the unchanged pack.

    Conditions without levels share a panel of bars. A second line shows the share of faces that a detector found.
    """
    first, conditions = rows[0], list(by_condition(rows))
    levelled = [each for _, each in conditions if len(each) > 1]
    single = [each[0] for _, each in conditions if len(each) == 1]
    count = len(levelled) + bool(single)
    height = math.ceil(count / COLUMNS)
    figure, grid = plt.subplots(
        height, COLUMNS, figsize=(3.2 * COLUMNS, 2.6 * height), sharey=True, layout="constrained", squeeze=False
    )
    panels = list(grid.flat)
    for panel, group in zip(panels, levelled, strict=False):
        _draw_levels(panel, group, first)
    if single:
        _draw_bars(panels[len(levelled)], single)
    for panel in panels[:count]:
        panel.axhline(first.accuracy or 0.0, color="gray", linestyle="--", linewidth=1, zorder=0)
        panel.set_ylim(0.0, 1.0)
        panel.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
        panel.grid(axis="y", alpha=0.3)
    for panel in panels[count:]:
        panel.set_visible(False)
    figure.suptitle(f"{title}: accuracy, n = {first.n}; dashed: unchanged")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw_levels(panel: Axes, group: Sequence[RobustnessFigures], first: RobustnessFigures) -> None:
    searched = group[0].found is not None
    points = list(group) if searched else [first, *group]
    labels = [f"{row.level:g}" if row.level is not None else "none" for row in points]
    panel.plot(range(len(points)), [math.nan if row.accuracy is None else row.accuracy for row in points], marker="o")
    if searched:
        shares = [row.found or 0.0 for row in points]
        panel.plot(range(len(points)), shares, marker="s", linestyle=":", label="share found")
        panel.legend(loc="lower right")
    panel.set_xticks(range(len(points)), labels)
    panel.set(title=group[0].condition, xlabel=group[0].unit)


def _draw_bars(panel: Axes, single: Sequence[RobustnessFigures]) -> None:
    places = range(len(single))
    panel.bar(places, [row.accuracy or 0.0 for row in single], width=0.5)
    panel.set_xticks(places, [row.condition.replace(" ", "\n") for row in single], fontsize=8)
    panel.set(title="without levels" if all(row.level is None for row in single) else "one level")
