"""Train the LSTM that the filter over time is compared with: `scripts/train temporal`. Only this needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from edge.emotions import EMOTIONS
from edge.perception.manifest import load_manifest
from training.fusion_data import Side, models_digest, shipped_fusion, shipped_side
from training.models import FOLDERS, ROOT
from training.sequences import Walk, simulate
from training.temporal_rules import lstm_inputs

UNITS = 16
EPOCHS = 60
BATCH = 32
LEARNING_RATE = 0.01
SEQUENCES = 600
SEED = 31
WEIGHTS = ROOT / "runs" / "temporal" / "lstm.npz"


class Reader(nn.Module):
    """Sequences (N, T, 7) to logits (N, T, 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(len(EMOTIONS), UNITS, batch_first=True)
        self.out = nn.Linear(UNITS, len(EMOTIONS))

    def forward(self, windows: Tensor) -> Tensor:
        """Return the logits after each window."""
        answers: Tensor = self.out(self.memory(windows)[0])
        return answers


def run(data: Path) -> int:
    """Train and save."""
    loss = train(shipped_side("edge", data, "calibration"), WEIGHTS)
    print(f"{WEIGHTS}: loss={loss:.4f}")
    return 0


def train(calibration: Side, path: Path, *, sequences: int = SEQUENCES, epochs: int = EPOCHS) -> float:
    """Train on simulated sequences of `calibration`, write `path`, return the last epoch's loss in nats."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    walks = simulate(calibration, shipped_fusion(), sequences, seed=SEED)
    inputs = torch.tensor(np.stack([lstm_inputs(walk) for walk in walks]), dtype=torch.float32)
    truth = torch.tensor(np.stack([_targets(walk) for walk in walks]))
    net = Reader()
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    mean = 0.0
    for _ in tqdm(range(epochs), desc="epochs", unit="epoch"):
        losses = []
        order = torch.randperm(len(inputs))
        for start in range(0, len(inputs), BATCH):
            some = order[start : start + BATCH]
            loss = nn.functional.cross_entropy(net(inputs[some]).flatten(0, 1), truth[some].flatten(), ignore_index=-1)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
        schedule.step()
        mean = float(np.mean(losses))
    _save(net, path)
    return mean


def _targets(walk: Walk) -> np.ndarray:
    return np.where(walk.seen, walk.labels, -1)


def _save(net: Reader, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = net.state_dict()
    arrays = {
        "input_weight": state["memory.weight_ih_l0"],
        "hidden_weight": state["memory.weight_hh_l0"],
        "bias": state["memory.bias_ih_l0"] + state["memory.bias_hh_l0"],
        "out_weight": state["out.weight"],
        "out_bias": state["out.bias"],
    }
    stored: dict[str, Any] = {name: tensor.numpy() for name, tensor in arrays.items()}
    np.savez(path, models=np.array(models_digest(load_manifest(FOLDERS["edge"]))), **stored)
