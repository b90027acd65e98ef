"""The face task: FER+ votes as soft targets, FER2013 labels as a second head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from edge.emotions import EMOTIONS
from training.augment import augment_faces
from training.faces import Faces

LABEL_SMOOTHING = 0.1
"""For FER2013 labels, about a third of which a human would contradict."""

BALANCE = 0.3
"""Disgust is one vote in a hundred: unweighted, it is never answered; fully weighted, its few faces are overlearnt."""


class FaceTask:
    """FER2013 training images, judged on `validation`."""

    heads: Mapping[str, tuple[int, float]] = {"ferplus": (len(EMOTIONS), 1.0), "fer2013": (len(EMOTIONS), 1.0)}

    def __init__(self, train: Faces, validation: Faces) -> None:
        self._images = torch.from_numpy(train.images).unsqueeze(1)
        one_hot = np.eye(len(EMOTIONS), dtype=np.float32)[train.labels]
        smooth = one_hot * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / len(EMOTIONS)
        by_vote = train.votes @ rarity_weights(train.votes.sum(axis=0), BALANCE)
        by_label = one_hot @ rarity_weights(one_hot.sum(axis=0), BALANCE)
        targets = np.concatenate([train.votes * by_vote[:, np.newaxis], smooth * by_label[:, np.newaxis]], axis=1)
        self._targets = torch.from_numpy(targets.astype(np.float32))
        self._validation = validation

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, indices: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return changed faces (N, 1, 48, 48) and targets (N, 14)."""
        faces = self._images[indices].float() / 255
        return augment_faces(faces, generator), self._targets[indices]

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return accuracy on FER+ majorities and on FER2013 labels."""
        logits = predict(net, face_inputs(self._validation.images))
        return {name: round(value, 4) for name, value in face_accuracies(logits, self._validation).items()}


def rarity_weights(masses: NDArray[np.floating], power: float) -> NDArray[np.float32]:
    """Return factors per emotion ∝ mass^-power whose average over the examples is 1; 0 for emotions without any."""
    factors = np.where(masses > 0, np.maximum(masses, 1e-9) ** -power, 0)
    return np.asarray(factors * masses.sum() / (factors * masses).sum(), dtype=np.float32)


def face_inputs(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn uint8 crops (N, 48, 48) into what the nets take: (N, 1, 48, 48) float32 in [0, 1]."""
    return np.asarray(images[:, np.newaxis] / np.float32(255), dtype=np.float32)


def predict(net: nn.Module, inputs: NDArray[np.float32], batch_size: int = 256) -> NDArray[np.float32]:
    """Return the net's float32 logits (N, logits) for inputs (N, C, H, W)."""
    net.eval()
    with torch.no_grad():
        parts = [
            net(torch.from_numpy(inputs[start : start + batch_size])).float()
            for start in range(0, len(inputs), batch_size)
        ]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def face_accuracies(logits: NDArray[np.float32], faces: Faces) -> dict[str, float]:
    """Return accuracy on FER+ majorities (images that have one) and on FER2013 labels, from logits (N, 14)."""
    ferplus, fer2013 = np.split(logits, 2, axis=1)
    clear = faces.majority >= 0
    return {
        "ferplus": float((ferplus.argmax(axis=1) == faces.majority)[clear].mean()),
        "fer2013": float((fer2013.argmax(axis=1) == faces.labels).mean()),
    }
