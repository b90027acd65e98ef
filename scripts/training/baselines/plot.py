"""The picture: what a random split says of a speech model, over what it does for speakers it never heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot is imported: there may be no display

from matplotlib import pyplot as plt

SERIES = {"random": ("random split", "o"), "leak": ("augmented before splitting", "^")}


def plot_splits(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw accuracy under the random splits over speaker-independent accuracy to `path`, a PNG.

    `rows` as in `compare.measure`. Models that were trained on speakers of the random split are vertical lines.
    """
    figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
    axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8, label="what is not hidden")
    for protocol, (title, marker) in SERIES.items():
        points = [
            (row["figures"]["independent"]["accuracy"], row["figures"][protocol]["accuracy"])
            for row in rows
            if not row["ours"]
        ]
        axes.scatter([x for x, _ in points], [y for _, y in points], marker=marker, label=title)
    for place, row in enumerate(rows):
        x = row["figures"]["independent"]["accuracy"]
        if row["ours"]:
            axes.axvline(x, linestyle=":", color="gray")
            axes.annotate(row["name"], (x, 0.02), rotation=90, ha="right", fontsize=8)
        else:
            # To either side in turn, for points that lie close together.
            side = (8, "left") if place % 2 else (-8, "right")
            point = (x, row["figures"]["random"]["accuracy"])
            axes.annotate(row["name"], point, (side[0], -3), textcoords="offset points", ha=side[1], fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="accuracy, speakers never heard", ylabel="accuracy, random split")
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=100)
    plt.close(figure)
