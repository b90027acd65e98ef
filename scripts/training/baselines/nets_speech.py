"""The speech nets of the papers: (N, 1, frames, values) in, one frame where values are means; 8 logits out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.emotions import SPEECH_EMOTIONS

CLASSES = len(SPEECH_EMOTIONS)


class Standardise(nn.Module):
    """Subtract the mean and divide by the deviation of each value over the training examples, part of the net."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(values))
        self.register_buffer("deviation", torch.ones(values))

    def fit(self, inputs: NDArray[np.floating]) -> None:
        """Learn from training inputs (N, 1, frames, values)."""
        by_value = inputs.reshape(-1, inputs.shape[-1])
        self.get_buffer("mean").copy_(torch.from_numpy(by_value.mean(axis=0, dtype=np.float64)))
        deviation = by_value.std(axis=0, dtype=np.float64)
        self.get_buffer("deviation").copy_(torch.from_numpy(np.maximum(deviation, 1e-8)))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        return (x - self.get_buffer("mean")) / self.get_buffer("deviation")


class KottayamLstm(nn.Module):
    """An LSTM that reads 40 means as 40 steps of one value each, and two dense layers."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.scale = Standardise(values)
        self.lstm = nn.LSTM(1, 123, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(123, 64),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(32, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 8) for (N, 1, 1, values)."""
        steps, _ = self.lstm(self.scale(x).flatten(1).unsqueeze(2))
        logits: Tensor = self.head(steps[:, -1])
        return logits


class MinigenieCnn1d(nn.Module):
    """Four 1-D convolutions over the list of means, each pooled to half, and a dense layer of 32."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.scale = Standardise(values)
        layers: list[nn.Module] = []
        inputs, length = 1, values
        for width in (256, 256, 128, 64):
            layers += [nn.Conv1d(inputs, width, 5, padding=2), nn.ReLU(), nn.MaxPool1d(5, 2, padding=2)]
            inputs, length = width, (length + 1) // 2
        self.features = nn.Sequential(*layers, nn.Dropout(0.2), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(64 * length, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 8) for (N, 1, 1, values)."""
        logits: Tensor = self.head(self.features(self.scale(x).squeeze(1)))
        return logits


class Mlp(nn.Module):
    """One hidden layer of 300."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.scale = Standardise(values)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(values, 300), nn.ReLU(), nn.Linear(300, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 8) for (N, 1, 1, values)."""
        logits: Tensor = self.head(self.scale(x))
        return logits


class BiLstm(nn.Module):
    """Two bidirectional LSTMs over the frames; the mean over time goes to a dense layer of 64."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.scale = Standardise(values)
        self.lstm = nn.LSTM(values, 64, num_layers=2, batch_first=True, bidirectional=True, dropout=0.3)
        self.head = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 8) for (N, 1, frames, values)."""
        steps, _ = self.lstm(self.scale(x).squeeze(1))
        logits: Tensor = self.head(steps.mean(dim=1))
        return logits


class CnnLstm(nn.Module):
    """Three convolutions, each pooled to half in time and pitch, then an LSTM over the time that is left."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.scale = Standardise(values)
        layers: list[nn.Module] = []
        inputs = 1
        for width in (16, 32, 64):
            convolution = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2)]
            inputs = width
        self.features = nn.Sequential(*layers)
        self.lstm = nn.LSTM(64 * (values // 8), 128, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(128, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 8) for (N, 1, frames, values)."""
        features = self.features(self.scale(x))
        steps, _ = self.lstm(features.permute(0, 2, 1, 3).flatten(2))
        logits: Tensor = self.head(steps[:, -1])
        return logits


SpeechNet = KottayamLstm | MinigenieCnn1d | Mlp | BiLstm | CnnLstm

NETS: dict[str, type[SpeechNet]] = {
    "kottayam-lstm": KottayamLstm,
    "minigenie-cnn1d": MinigenieCnn1d,
    "mlp": Mlp,
    "bilstm": BiLstm,
    "cnn-lstm": CnnLstm,
}


def build_speech(name: str, values: int) -> SpeechNet:
    """Return the freshly initialised net `name` for inputs (N, 1, frames, values)."""
    return NETS[name](values)
