"""Weights of large image nets, from a file that the user has."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from training.errors import TrainingError


def take_over(net: nn.Module, path: Path) -> None:
    """Put the convolutions of a state dictionary at `path` into `net`; the head stays as it is.

    Layers are found by name: as in torchvision's vgg16, or in timm's legacy_xception. Raises TrainingError if the file
    cannot be read, or if a layer is missing there or of another shape.
    """
    stored = _read(path)
    state = net.state_dict()
    for name, here in state.items():
        if name.startswith("head.") or name.endswith("num_batches_tracked"):
            continue
        there = stored.get(name)
        if there is None:
            raise TrainingError(f"{path} has no {name}: torchvision's vgg16 or timm's legacy_xception is wanted")
        if there.shape != here.shape:
            raise TrainingError(f"{path}: {name} is {tuple(there.shape)}, not {tuple(here.shape)}")
        here.copy_(there)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        stored = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, LookupError, UnpicklingError) as error:
        raise TrainingError(f"{path} is no file of weights: {error}") from error
    if not isinstance(stored, dict):
        raise TrainingError(f"{path} holds a {type(stored).__name__}, not a state dictionary")
    return stored
