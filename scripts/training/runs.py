"""One training run: data, net and settings put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from training.errors import TrainingError
from training.face_task import FaceTask
from training.faces import load_faces
from training.loop import Task, TrainConfig, Trainer
from training.nets import build
from training.plots import plot_history
from training.speech_data import load_clips
from training.speech_task import SpeechTask, plain_set, training_set
from training.splits import CALIBRATION_SPEAKERS, calibration_half

SETTINGS = {
    ("face", "edge"): TrainConfig(epochs=60),
    ("face", "full"): TrainConfig(epochs=40),
    ("speech", "edge"): TrainConfig(epochs=20, learning_rate=0.05, weight_decay=1e-3),
    ("speech", "full"): TrainConfig(epochs=20, learning_rate=0.05, weight_decay=1e-3),
}
"""What `scripts/train` does without options."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asks for."""

    task: str
    arch: str
    data: Path
    runs: Path
    """Holds one folder per run and the cache of features."""
    epochs: int | None = None
    seed: int = 0
    resume: bool = False
    threads: int | None = None

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        return self.runs / f"{self.task}-{self.arch}"


def train(order: Order) -> Trainer:
    """Carry out `order` and return the trainer; checkpoint, metrics and curves are in its folder, even if interrupted.

    Raises TrainingError if data are missing, or if a run is there and `resume` was not asked for.
    """
    if order.threads:
        torch.set_num_threads(order.threads)
    trainer = _trainer(order)
    try:
        trainer.fit()
    finally:
        plot_history(trainer.history, order.folder / "curves.png")
    return trainer


def _trainer(order: Order) -> Trainer:
    config = SETTINGS[order.task, order.arch]
    config = replace(config, epochs=order.epochs or config.epochs, seed=order.seed)
    torch.manual_seed(order.seed)
    trainer = Trainer(build(order.task, order.arch), _load(order), config, order.folder)
    if order.resume:
        trainer.resume()
    elif trainer.checkpoint.exists():
        raise TrainingError(f"{order.folder} holds a run already: go on with --resume, or move it away to start anew")
    return trainer


def _load(order: Order) -> Task:
    """Read the data; training is watched on the calibration half only."""
    if order.task == "face":
        validation = load_faces(order.data, "validation")
        return FaceTask(load_faces(order.data, "train"), validation.take(calibration_half(validation.groups)))
    watched = [clip for clip in load_clips(order.data, "validation") if clip.speaker in CALIBRATION_SPEAKERS]
    return SpeechTask(training_set(order.data, order.runs / "cache", order.seed), plain_set(watched))
