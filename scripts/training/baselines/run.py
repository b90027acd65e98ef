"""One baseline, trained within its time."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.baselines.catalogue import BASELINES, DEFAULT_MINUTES, Baseline
from training.baselines.examples import SoundExamples, divide, load_sound
from training.baselines.nets_face import build_face
from training.baselines.nets_speech import build_speech
from training.baselines.tasks import FaceBaselineTask, SpeechBaselineTask
from training.baselines.weights import take_over
from training.errors import TrainingError
from training.faces import Faces, load_faces
from training.loop import Task, TrainConfig, Trainer, load_checkpoint

ALL_THREADS = torch.get_num_threads()


class Sources:
    """The data, each read once and only when it is needed."""

    def __init__(self, data: Path, runs: Path, seed: int = 0) -> None:
        self.data, self._runs, self._seed = data, runs, seed

    @cached_property
    def training_faces(self) -> Faces:
        """FER2013 Training."""
        return load_faces(self.data, "train")

    @cached_property
    def test_faces(self) -> Faces:
        """FER2013 PublicTest."""
        return load_faces(self.data, "validation")

    @cached_property
    def sound(self) -> SoundExamples:
        """Speech examples of all protocols."""
        return load_sound(self.data, self._runs / "cache", self._seed)


@dataclass(frozen=True, kw_only=True)
class BaselineOrder:
    """What is to be trained."""

    name: str
    runs: Path
    protocol: str = "independent"
    """Speech only: one of `catalogue.PROTOCOLS`."""
    minutes: float = DEFAULT_MINUTES
    """Training stops before the epoch that would end later; one epoch is trained in any case."""
    epochs: int | None = None
    seed: int = 0
    resume: bool = False
    weights: Path | None = None
    """State dictionary of a large image net to start from."""
    threads: int | None = None

    @property
    def baseline(self) -> Baseline:
        """The entry of the catalogue."""
        return BASELINES[self.name]

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        return self.runs / "baselines" / (self.name if self.baseline.task == "face" else f"{self.name}-{self.protocol}")

    @property
    def config(self) -> TrainConfig:
        """How it is trained."""
        return TrainConfig(
            epochs=self.epochs or self.baseline.epochs,
            batch_size=self.baseline.batch_size,
            learning_rate=self.baseline.learning_rate,
            weight_decay=self.baseline.weight_decay,
            optimizer="adam",
            mixup=0.0,
            ema_decay=0.0,
            seed=self.seed,
        )


def train_baseline(order: BaselineOrder, sources: Sources) -> Trainer:
    """Carry out `order` and return the trainer; after each epoch all is saved in its folder.

    Raises TrainingError if data or weights are missing, or if a run is there and `resume` was not asked for.
    """
    started = (order.folder / "checkpoint.pt").exists()
    if started and not order.resume:
        raise TrainingError(f"{order.folder} holds a run already: go on with --resume, or move it away to start anew")
    if order.weights and not order.baseline.takes_weights:
        raise TrainingError(f"{order.name} takes no --weights: vgg16 and xception do")
    torch.set_num_threads(order.threads or order.baseline.threads or ALL_THREADS)
    torch.manual_seed(order.seed)
    if order.resume:
        net = build_net(order.name, pretrained=read_about(order.folder)["weights"] is not None)
        trainer = Trainer(net, _task(order, sources, net), order.config, order.folder)
        trainer.resume()
    else:
        net = build_net(order.name, pretrained=order.weights is not None)
        if order.weights:
            take_over(net, order.weights)
        _write_about(order)
        trainer = Trainer(net, _task(order, sources, net), order.config, order.folder)
    trainer.fit(order.minutes * 60)
    return trainer


def build_net(name: str, *, pretrained: bool = False) -> nn.Module:
    """Return the freshly initialised net of baseline `name`."""
    baseline = BASELINES[name]
    if baseline.task == "face":
        return build_face(name, pretrained=pretrained)
    return build_speech(name, VALUES[baseline.inputs])


VALUES = {"mfcc_means": 40, "means": 162, "matched_means": 180, "mfcc_frames": 40, "log_mel": 64}
"""Values of a frame (or of the one row of means) per kind of features."""


def trained_net(folder: Path, name: str) -> nn.Module:
    """Return the net of the run in `folder`, ready to be used. Raises TrainingError if there is none."""
    state = load_checkpoint(folder)
    net = build_net(name, pretrained=read_about(folder)["weights"] is not None)
    net.load_state_dict(state["averaged"])
    return net.eval()


def read_about(folder: Path) -> dict[str, Any]:
    """Return what was written of the run when it began. Raises TrainingError if it cannot be read."""
    path = folder / "about.json"
    try:
        about: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read ({error}): train anew, without --resume") from error
    return about


def stored_order(order: BaselineOrder) -> BaselineOrder:
    """Return `order` as it goes on if its folder holds a run: with the epochs and the seed that this began with."""
    if not (order.folder / "checkpoint.pt").exists():
        return order
    config = load_checkpoint(order.folder)["config"]
    return replace(order, resume=True, epochs=config["epochs"], seed=config["seed"])


def _write_about(order: BaselineOrder) -> None:
    about = {
        "name": order.name,
        "protocol": order.protocol if order.baseline.task == "speech" else None,
        "weights": order.weights.name if order.weights else None,
    }
    order.folder.mkdir(parents=True, exist_ok=True)
    (order.folder / "about.json").write_text(json.dumps(about) + "\n")


def _task(order: BaselineOrder, sources: Sources, net: nn.Module) -> Task:
    """Return the task; a speech net learns the scale of its inputs on the way (a resumed one reads it after that)."""
    if order.baseline.task == "face":
        return FaceBaselineTask(sources.training_faces)
    training, _ = divide(sources.sound, order.protocol, SPLIT_SEED)
    inputs = sources.sound.inputs(order.baseline.inputs, training)
    scale = net.get_submodule("scale")
    scale.fit(inputs)  # type: ignore[operator]  # mypy takes attributes of modules for tensors
    return SpeechBaselineTask(inputs, sources.sound.emotions[training])


SPLIT_SEED = 0
"""The random splits are the same for all nets and seeds, so that their figures can be compared."""
