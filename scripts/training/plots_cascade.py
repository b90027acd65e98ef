"""The cascade's curve as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from training.cascade import Curve

mpl.use("Agg")  # before pyplot is imported: there may be no display

from matplotlib import pyplot as plt


def plot_cascade(curves: Sequence[Curve], path: Path) -> None:
    """Draw accuracy over the share offloaded, a panel per modality, to `path`, a PNG."""
    figure, panels = plt.subplots(1, len(curves), figsize=(4.2 * len(curves), 3.8), layout="constrained", squeeze=False)
    for axes, curve in zip(panels[0], curves, strict=True):
        shares = [0.0, *(100 * share for share in curve.shares)]
        accuracy = [100 * value for value in (curve.device, *curve.accuracy)]
        low, high = zip(curve.device_interval, *curve.intervals, strict=True)
        axes.fill_between(shares, [100 * v for v in low], [100 * v for v in high], alpha=0.2, label="95 % interval")
        axes.plot(shares, accuracy, marker="o", markersize=3, label="cascade")
        axes.axhline(100 * curve.device, linestyle=":", color="black", label="device alone")
        axes.axhline(100 * curve.cloud, linestyle="--", color="black", label="cloud alone")
        title = f"{curve.modality}, n = {curve.n}" + (" pairs of strangers" if curve.modality == "fused" else "")
        axes.set(title=title, xlabel="offloaded, %", ylabel="accuracy, %")
    panels[0][0].legend(loc="lower right")
    figure.savefig(path, dpi=100)
    plt.close(figure)
