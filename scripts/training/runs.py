"""One training run: data, net and settings put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from training.distil import TEACHER, DistilledFaceTask, Teachers, prepare_lessons
from training.distil_speech import DistilledSpeechTask, speech_teacher
from training.errors import TrainingError
from training.examples import quantisation_inputs
from training.face_task import FaceTask
from training.faces import load_faces
from training.loop import Task, TrainConfig, Trainer, load_finished
from training.members import run_folder
from training.nets import ConvNet, build
from training.plots import plot_history
from training.shipped import SUFFIXES, take_shipped
from training.speech_data import load_clips
from training.speech_task import SpeechTask, plain_set, training_set, training_speakers
from training.splits import CALIBRATION_SPEAKERS, calibration_half, fold_speakers

SETTINGS = {
    # Little decay, and no blending for the small net: it underfits as it is.
    ("face", "edge"): TrainConfig(epochs=80, weight_decay=2e-4, mixup=0.0),
    ("face", "full"): TrainConfig(epochs=55, weight_decay=2e-4),
    ("speech", "edge"): TrainConfig(epochs=20, learning_rate=0.05, weight_decay=1e-3),
    ("speech", "full"): TrainConfig(epochs=20, learning_rate=0.05, weight_decay=1e-3),
}
"""What `scripts/train` does without options."""

START_RATE = 0.3
"""Of the usual learning rate, for a net that starts from the weights of another run or of what ships."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asks for."""

    task: str
    arch: str
    data: Path
    runs: Path
    """Holds one folder per run and the cache of features."""
    epochs: int | None = None
    distil: bool = False
    """Learn from the cloud's net, too; the cloud's own from the one that ships."""
    start: Path | None = None
    """The folder of a run of the same net, or a file that ships, to start from its weights."""
    learning_rate: float | None = None
    """Highest of the schedule; None for `usual_rate`."""
    seed: int = 0
    fold: int = 0
    """Of the training speakers, which to leave out: 1 to 4; 0: none. For speech alone."""
    resume: bool = False
    threads: int | None = None

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        return run_folder(self.runs, self.task, self.arch, self.seed, self.fold)


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
    if not order.resume and (order.folder / "checkpoint.pt").exists():
        raise TrainingError(f"{order.folder} holds a run already: go on with --resume, or move it away to start anew")
    config = SETTINGS[order.task, order.arch]
    config = replace(config, epochs=order.epochs or config.epochs, seed=order.seed, distil=order.distil)
    config = replace(config, fold=order.fold)
    if order.distil and order.arch != TEACHER:
        # A small net underfits as it is. A large one would learn the copies by heart without blends.
        config = replace(config, mixup=0.0)
    rate = order.learning_rate or usual_rate(order.task, order.arch, started=order.start is not None)
    config = replace(config, learning_rate=rate, start=order.start.name if order.start else "")
    torch.manual_seed(order.seed)
    net = build(order.task, order.arch)
    if order.start is not None and not order.resume:
        _take_over(net, order, order.start)
    trainer = Trainer(net, _load(order), config, order.folder)
    if order.resume:
        trainer.resume()
    return trainer


def usual_rate(task: str, arch: str, *, started: bool) -> float:
    """Return the learning rate of a run for which none was named; `started` from other weights or not."""
    return SETTINGS[task, arch].learning_rate * (START_RATE if started else 1)


def _take_over(net: ConvNet, order: Order, start: Path) -> None:
    if start.suffix in SUFFIXES:
        examples = quantisation_inputs(order.task, order.data, order.runs / "cache", order.seed)
        take_shipped(net, start, examples)
        return
    weights = load_finished(start)["averaged"]
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(f"{start} is a run of another net: its weights do not fit") from error


def _load(order: Order) -> Task:
    """Read the data; training is watched on the calibration half only."""
    cache, teachers = order.runs / "cache", Teachers(None if order.arch == TEACHER else order.runs)
    if order.task == "face":
        faces, validation = load_faces(order.data, "train"), load_faces(order.data, "validation")
        watched = validation.take(calibration_half(validation.groups))
        if order.distil:
            return DistilledFaceTask(faces, watched, prepare_lessons(faces, cache, teachers))
        return FaceTask(faces, watched)
    voices = [clip for clip in load_clips(order.data, "validation") if clip.speaker in CALIBRATION_SPEAKERS]
    examples, watched_voices = training_set(order.data, cache), plain_set(voices)
    if order.fold:
        heard = ~np.isin(training_speakers(order.data), list(fold_speakers(order.fold)))
        examples = examples.take(np.flatnonzero(heard))
    if order.distil:
        return DistilledSpeechTask(examples, watched_voices, speech_teacher(teachers, examples))
    return SpeechTask(examples, watched_voices)
