"""Curves of a run as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")  # before pyplot is imported: there may be no display

from matplotlib import pyplot as plt

NOT_FIGURES = ("epoch", "loss", "seconds")


def plot_history(history: list[dict[str, float]], path: Path) -> None:
    """Draw loss and validation figures over the epochs to `path`, a PNG; nothing if there is no epoch yet."""
    if not history:
        return
    epochs = [entry["epoch"] for entry in history]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(epochs, [entry["loss"] for entry in history])
    left.set(title="training loss", xlabel="epoch")
    for name in (name for name in history[0] if name not in NOT_FIGURES):
        right.plot(epochs, [entry[name] for entry in history], label=name)
    right.set(title="calibration half of the validation data", xlabel="epoch")
    right.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def plot_confusion(counts: NDArray[np.int64], labels: tuple[str, ...], path: Path) -> None:
    """Draw a confusion matrix, (labels, labels) counts with the truth in rows, to `path`, a PNG."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="recognised as", ylabel="labelled", title=f"n = {counts.sum()}")
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = f"{shares[row, column]:.0%}\n{counts[row, column]}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)
