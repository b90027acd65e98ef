"""Training of the text net: seeded, resumable, on the CPU. Its lower layers stay as they came."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from edge.emotions import EMOTIONS
from training.confusion import confusion_matrix, macro_f1
from training.errors import TrainingError
from training.loop import load_checkpoint
from training.plots import plot_history
from training.text.data import PACK, Row, of_split, read_texts
from training.text.encoder import find_encoder, small_tokenizer
from training.text.net import Shape, TextNet, load_public
from training.text.task import Examples, make_examples, predict

COMMON = [EMOTIONS.index("happy"), EMOTIONS.index("neutral")]


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """What decides a run, besides the data."""

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 2e-4
    """Peak of AdamW's; rises over the first tenth of all steps, then falls linearly to 0."""
    weight_decay: float = 0.01
    frozen: int = 3
    """Layers from below, the words with them, that are not trained: each text goes through them once only."""
    common_share: float = 0.4
    """Of the rows of `happy` or `neutral` alone, two thirds of all, so many are drawn anew for each epoch."""
    raw_weight: float = 0.3
    """Of the loss on the release's 28 labels."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class TextOrder:
    """What the command line asks for."""

    data: Path
    runs: Path
    encoder: Path | None = None
    resume: bool = False
    threads: int | None = None
    config: TextConfig = field(default_factory=TextConfig)

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        return self.runs / "text-full"


class TextTrainer:
    """One run: `checkpoint.pt`, `tokenizer.json` and `metrics.json` in its folder."""

    def __init__(self, net: TextNet, train: Examples, dev: tuple[Examples, list[Row]], order: TextOrder) -> None:
        self.net, self.train, self.config, self.folder = net, train, order.config, order.folder
        self.dev, self.dev_rows = dev
        self.trained = [*(p for layer in net.layers[self.config.frozen :] for p in layer.parameters())]
        self.trained += [*net.emotions.parameters(), *net.raw.parameters()]
        groups = [
            {"params": [p for p in self.trained if p.dim() > 1], "weight_decay": self.config.weight_decay},
            {"params": [p for p in self.trained if p.dim() <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.config.learning_rate)
        self.epoch = 0
        self.steps_per_epoch = -(-len(self._drawn(Generator().manual_seed(0))) // self.config.batch_size)
        self.history: list[dict[str, float]] = []

    def fit(self) -> None:
        """Train what is left of the epochs, saving after each; at most one is lost when stopped."""
        self.folder.mkdir(parents=True, exist_ok=True)
        while self.epoch < self.config.epochs:
            started = time.monotonic()
            loss = self._one_epoch()
            self.epoch += 1
            seconds = round(time.monotonic() - started, 1)
            self.history.append({"epoch": self.epoch, "loss": round(loss, 4), "seconds": seconds, **self._figures()})
            self._save()

    def resume(self) -> None:
        """Go on from the checkpoint. Raises TrainingError if there is none or it was made with other settings."""
        state = load_checkpoint(self.folder)
        if state["config"] != asdict(self.config):
            raise TrainingError(
                f"{self.folder} was made with {state['config']}: resume with the same options, or start anew"
            )
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.history = state["epoch"], state["history"]

    def _one_epoch(self) -> float:
        seed = self.config.seed * 100_003 + self.epoch
        torch.manual_seed(seed)  # dropout draws from the global generator
        self.net.train()
        total = 0.0
        generator = Generator().manual_seed(seed)
        batches = self.train.batches(self._drawn(generator), self.config.batch_size, generator)
        title = f"epoch {self.epoch + 1}/{self.config.epochs}"
        bar = tqdm(batches, desc=title, total=self.steps_per_epoch, leave=False, mininterval=1.0, unit="step")
        for step, numbers in enumerate(bar):
            total += self._one_step(self.epoch * self.steps_per_epoch + step, numbers)
            bar.set_postfix(loss=f"{total / (step + 1):.3f}", refresh=False)
        return total / self.steps_per_epoch

    def _drawn(self, generator: Generator) -> Tensor:
        """Return the numbers of an epoch's examples, in a new order: always as many."""
        common = (self.train.emotions[:, COMMON] == 1.0).any(1)
        many = common.nonzero()[:, 0]
        drawn = many[torch.randperm(len(many), generator=generator)[: round(len(many) * self.config.common_share)]]
        chosen = torch.cat([(~common).nonzero()[:, 0], drawn])
        return chosen[torch.randperm(len(chosen), generator=generator)]

    def _one_step(self, step: int, numbers: Tensor) -> float:
        done = step / (self.steps_per_epoch * self.config.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * min(done / 0.1, (1 - done) / 0.9)
        with torch.autocast("cpu", torch.bfloat16):
            emotions, raw = self.net.upper(*self.train.padded(numbers), self.config.frozen)
        loss = -(self.train.emotions[numbers] * emotions.float().log_softmax(1)).sum(1).mean()
        finer = binary_cross_entropy_with_logits(raw.float(), self.train.raw[numbers], reduction="none").sum(1).mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss + self.config.raw_weight * finer)
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def _figures(self) -> dict[str, float]:
        """Return accuracy and macro-F1 on dev's rows of one emotion, uncalibrated."""
        single = torch.tensor([row.single for row in self.dev_rows]).numpy()
        chosen = predict(self.net, self.dev, self.config.frozen).argmax(axis=1)[single]
        given = self.dev.emotions.numpy().argmax(axis=1)[single]
        counts = confusion_matrix(chosen, given, 7)
        return {"accuracy": round(float((chosen == given).mean()), 4), "macro_f1": round(macro_f1(counts), 4)}

    def _save(self) -> None:
        state = {
            "epoch": self.epoch,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "config": asdict(self.config),
            "shape": asdict(self.net.shape),
            "history": self.history,
        }
        partial = self.folder / "checkpoint.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "checkpoint.pt")
        (self.folder / "metrics.json").write_text(json.dumps(self.history, indent=1) + "\n")


def train(order: TextOrder) -> TextTrainer:
    """Carry out `order` and return the trainer; checkpoint, metrics and curves are in its folder, even if interrupted.

    Raises TrainingError if data or the encoder are missing, or if a run is there and `resume` was not asked for.
    """
    if not order.resume and (order.folder / "checkpoint.pt").exists():
        raise TrainingError(f"{order.folder} holds a run already: go on with --resume, or move it away to start anew")
    if order.threads:
        torch.set_num_threads(order.threads)
    trainer = _trainer(order)
    try:
        trainer.fit()
    finally:
        plot_history(trainer.history, order.folder / "curves.png")
    return trainer


def training_rows(rows: list[Row], path: Path) -> list[Row]:
    """Return the rows to train on: those whose words stand in neither dev nor test."""
    return [row for row in of_split(rows, "train", path) if not row.overlaps]


def _trainer(order: TextOrder) -> TextTrainer:
    path = order.data / PACK
    rows = read_texts(path)
    training, dev = training_rows(rows, path), of_split(rows, "dev", path)
    encoder = find_encoder(order.encoder, order.runs / "cache")
    tokenizer, kept = small_tokenizer(encoder, (row.text for row in training))
    torch.manual_seed(order.config.seed)
    net = TextNet(Shape(vocabulary=len(kept)))
    load_public(net, load_file(encoder / "model.safetensors"), kept)
    frozen = order.config.frozen
    examples = make_examples(training, tokenizer, net, frozen, "train texts")
    watched = make_examples(dev, tokenizer, net, frozen, "dev texts")
    trainer = TextTrainer(net, examples, (watched, dev), order)
    order.folder.mkdir(parents=True, exist_ok=True)
    if order.resume:
        trainer.resume()
    tokenizer.save(str(order.folder / "tokenizer.json"))
    return trainer
