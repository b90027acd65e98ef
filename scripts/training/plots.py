"""Curves of a run as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

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
