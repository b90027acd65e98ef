"""The trainer: seeded, resumable, one process on the CPU.

All randomness of an epoch follows from (seed, epoch), so a run that was stopped and resumed ends with the same weights
as one that was not.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, Protocol

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from training.augment import mixup
from training.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What decides a run, besides data and net."""

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.1
    """Peak of the cosine schedule, for SGD with Nesterov momentum 0.9."""
    weight_decay: float = 5e-4
    warmup_epochs: float = 1.0
    mixup: float = 0.2
    ema_decay: float = 0.999
    """Of the averaged weights, which are the ones that ship."""
    distil: bool = False
    """Learn from larger nets' answers, too (`training.distil`)."""
    start: str = ""
    """Name of the run, or of the shipped file, whose weights this one started from; empty for random ones."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """`adam` keeps the learning rate as it is, from the first step on."""
    seed: int = 0
    fold: int = 0
    """Of the training speakers, which was left out (`splits.fold_speakers`); 0: none."""


class Task(Protocol):
    """Training examples and how to judge a net.

    Targets have the logits' shape: one distribution per head, and the sum of a row is the weight of that example.
    """

    heads: Mapping[str, tuple[int, float]]
    """Name -> (number of logits, weight in the loss), in the order of the logits."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return augmented inputs (N, ...) and targets (N, logits)."""

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return figures on the validation examples; never those that are held back for the final report."""


def soft_cross_entropy(logits: Tensor, targets: Tensor, heads: Mapping[str, tuple[int, float]]) -> Tensor:
    """Sum over heads of weight * mean over examples of -Σ target * log softmax; scalar."""
    total = logits.new_zeros(())
    start = 0
    for size, weight in heads.values():
        place = slice(start, start + size)
        total = total - weight * (targets[:, place] * logits[:, place].log_softmax(dim=1)).sum(dim=1).mean()
        start += size
    return total


class Trainer:
    """One run in `folder`: `checkpoint.pt`, and `metrics.json` with one entry per epoch."""

    def __init__(self, net: nn.Module, task: Task, config: TrainConfig, folder: Path) -> None:
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as documented
        self.averaged = copy.deepcopy(self.net).eval()
        self.task, self.config, self.folder = task, config, folder
        self.optimizer = _optimizer(net, config)
        self.epoch = 0
        self.steps_per_epoch = max(len(task) // config.batch_size, 1)
        self.history: list[dict[str, float]] = []

    @property
    def checkpoint(self) -> Path:
        """Where this run is saved."""
        return self.folder / "checkpoint.pt"

    def fit(self, budget_s: float = math.inf) -> None:
        """Train up to `config.epochs`, saving after every epoch; an interrupted epoch is done again on resuming.

        Stops before an epoch that would likely end after `budget_s` seconds of training, earlier sittings included;
        the first is trained in any case. Seconds are of processor time, all threads together: what else runs on the
        machine changes nothing.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.save()
        while self.epoch < self.config.epochs and self._next_epoch_ends_s() <= budget_s:
            started = time.process_time()
            loss = self._one_epoch()
            self.epoch += 1
            figures = self.task.validate(self.averaged)
            seconds = round(time.process_time() - started, 3)
            self.history.append({"epoch": self.epoch, "loss": round(loss, 4), "seconds": seconds, **figures})
            self.save()

    def save(self) -> None:
        """Write the checkpoint and metrics; whole or not at all, since a power cut must not cost the run."""
        state = {
            "epoch": self.epoch,
            "net": self.net.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "config": asdict(self.config),
            "history": self.history,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)
        (self.folder / "metrics.json").write_text(json.dumps(self.history, indent=1) + "\n")

    def resume(self) -> None:
        """Go on from the checkpoint. Raises TrainingError if there is none or it was made with other settings."""
        state = load_checkpoint(self.folder)
        for key, value in asdict(self.config).items():
            # A setting that is younger than the checkpoint had its default value.
            before = state["config"].get(key, getattr(TrainConfig, key, None))
            if before != value:
                raise TrainingError(
                    f"{self.checkpoint} was made with {key}={before}, not {value}: "
                    f"resume with the same options, or start anew without --resume"
                )
        self.net.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.history = state["epoch"], state["history"]

    def _next_epoch_ends_s(self) -> float:
        """Guess how long all training will have taken after one more epoch; 0 before the first, not known yet."""
        spent = sum(entry["seconds"] for entry in self.history)
        return spent + spent / max(len(self.history), 1)

    def _one_epoch(self) -> float:
        seed = self.config.seed * 100_003 + self.epoch
        torch.manual_seed(seed)  # dropout draws from the global generator
        generator = Generator().manual_seed(seed)
        order = torch.randperm(len(self.task), generator=generator)
        self.net.train()
        total = 0.0
        bar = tqdm(range(self.steps_per_epoch), desc=self._title(), leave=False, mininterval=1.0, unit="step")
        for step in bar:
            indices = order[step * self.config.batch_size : (step + 1) * self.config.batch_size]
            total += self._one_step(step, indices, generator)
            bar.set_postfix(loss=f"{total / (step + 1):.3f}", refresh=False)
        return total / self.steps_per_epoch

    def _one_step(self, step: int, indices: Tensor, generator: Generator) -> float:
        self._set_learning_rate(self.epoch + step / self.steps_per_epoch)
        inputs, targets = mixup(*self.task.batch(indices, generator), self.config.mixup, generator)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.net(inputs.to(memory_format=torch.channels_last))
        loss = soft_cross_entropy(logits.float(), targets, self.task.heads)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self._average(self.epoch * self.steps_per_epoch + step)
        return float(loss.detach())

    def _set_learning_rate(self, epoch: float) -> None:
        if self.config.optimizer == "adam":
            return
        warm = self.config.warmup_epochs
        if epoch < warm:
            factor = epoch / warm
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (epoch - warm) / max(self.config.epochs - warm, 1e-9)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor

    @torch.no_grad()
    def _average(self, step: int) -> None:
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        for slow, fast in zip(self.averaged.state_dict().values(), self.net.state_dict().values(), strict=True):
            if slow.dtype.is_floating_point:
                slow.lerp_(fast, 1 - decay)
            else:
                slow.copy_(fast)

    def _title(self) -> str:
        last = self.history[-1] if self.history else {}
        shown = " ".join(f"{key} {value:.3f}" for key, value in last.items() if key not in ("epoch", "seconds"))
        return f"epoch {self.epoch + 1}/{self.config.epochs} {shown}".strip()


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """Return the state that `Trainer.save` wrote. Raises TrainingError if there is none or it is damaged."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        raise TrainingError(f"{path} does not exist: train first, without --resume")
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, LookupError, UnpicklingError) as error:
        raise TrainingError(f"{path} is damaged ({error}): train anew, without --resume") from error
    return state


def load_finished(folder: Path) -> dict[str, Any]:
    """Return the state of a run that has done all its epochs. Raises TrainingError if it has not, or is not there."""
    state = load_checkpoint(folder)
    done, wanted = state["epoch"], state["config"]["epochs"]
    if done < wanted:
        raise TrainingError(f"{folder} has done {done} of {wanted} epochs: finish it with --resume")
    return state


def _optimizer(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    groups = _decay_groups(net, config.weight_decay)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.learning_rate)
    return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9, nesterov=True)


def _decay_groups(net: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for kernels only: on biases and normalisation it only slows learning (He et al. 2019)."""
    kernels = [parameter for parameter in net.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in net.parameters() if parameter.dim() <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
