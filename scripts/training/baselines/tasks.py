"""What the baselines learn: hard labels, with changes of faces such as Keras' ImageDataGenerator makes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from training.faces import Faces

ROTATION_DEG = 10.0
SHIFT = 0.1
ZOOM = 0.1
"""Ranges, chosen here: rotation in degrees, shift and zoom as shares of the picture."""


class FaceBaselineTask:
    """FER2013 training images with FER2013 labels. Nothing is watched: the last epoch counts."""

    heads: Mapping[str, tuple[int, float]] = {"fer2013": (len(EMOTIONS), 1.0)}

    def __init__(self, train: Faces) -> None:
        self._images = torch.from_numpy(train.images).unsqueeze(1)
        self._targets = _one_hot(train.labels, len(EMOTIONS))

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, indices: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return changed faces (N, 1, 48, 48) and targets (N, 7)."""
        return change_faces(self._images[indices].float() / 255, generator), self._targets[indices]

    def validate(self, net: nn.Module) -> dict[str, float]:  # noqa: ARG002  # the protocol of all tasks
        """Return nothing: what is measured once must not be looked at before."""
        return {}


class SpeechBaselineTask:
    """Features of clips and their copies, changed before; otherwise the same."""

    heads: Mapping[str, tuple[int, float]] = {"speech": (len(SPEECH_EMOTIONS), 1.0)}

    def __init__(self, inputs: NDArray[np.floating], emotions: NDArray[np.int64]) -> None:
        self._inputs = torch.from_numpy(inputs)
        self._targets = _one_hot(emotions, len(SPEECH_EMOTIONS))

    def __len__(self) -> int:
        return len(self._inputs)

    def batch(self, indices: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:  # noqa: ARG002  # likewise
        """Return features (N, 1, frames, values) and targets (N, 8)."""
        return self._inputs[indices].float(), self._targets[indices]

    def validate(self, net: nn.Module) -> dict[str, float]:  # noqa: ARG002  # likewise
        """Return nothing: what is measured once must not be looked at before."""
        return {}


def change_faces(faces: Tensor, generator: Generator) -> Tensor:
    """Mirror half of the faces (N, 1, H, W); turn, shift and zoom all, repeating their borders."""
    count = len(faces)
    angle = _between(count, math.radians(ROTATION_DEG), generator)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    zoom_x, zoom_y = 1 + _between(count, ZOOM, generator), 1 + _between(count, ZOOM, generator)
    # The grid's coordinates run from -1 to 1: a share of the picture is twice as much there.
    shift_x, shift_y = _between(count, 2 * SHIFT, generator), _between(count, 2 * SHIFT, generator)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [
        torch.stack([cos * zoom_x * mirror, -sin * zoom_y, shift_x], dim=1),
        torch.stack([sin * zoom_x * mirror, cos * zoom_y, shift_y], dim=1),
    ]
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _between(count: int, most: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * most


def _one_hot(classes: NDArray[np.int64], count: int) -> Tensor:
    return functional.one_hot(torch.from_numpy(classes), count).float()
