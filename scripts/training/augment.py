"""Random changes of a batch that keep its labels: what a detector's boxes, cameras, rooms and microphones do.

Everything works on whole batches and draws only from the generator that is passed in, so that a seed repeats a run.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from edge.perception.features import SILENCE

EASY_SHARE = 0.6
"""Of the faces, which are only moved, half as far: where every face is changed in every way, the nets underfit."""


def augment_faces(faces: Tensor, generator: Generator) -> Tensor:
    """Return changed copies of `faces`, shape (N, 1, 48, 48), float in [0, 1]."""
    easy = _uniform(len(faces), generator) < EASY_SHARE
    faces = misalign(faces, torch.where(easy, 0.5, 1.0), generator)
    changed = lose_detail(faces, generator)
    changed = relight(changed, generator)
    changed = erase(changed, generator)
    return torch.where(_per_example(easy), faces, changed)


def misalign(faces: Tensor, by: Tensor, generator: Generator) -> Tensor:
    """Mirror half of them; tilt, shift, scale and stretch all, as boxes of a detector are off by a few pixels.

    `by`, shape (N,), is how far each is moved: 1 in full.
    """
    count = len(faces)
    angle = _normal(count, generator) * math.radians(8) * by
    scale = torch.exp(_normal(count, generator) * 0.08 * by)
    stretch = torch.exp(_normal(count, generator) * 0.04 * by)
    shear = _normal(count, generator) * 0.05 * by
    mirror = torch.where(_uniform(count, generator) < 0.5, -1.0, 1.0)
    shift = (_uniform((count, 2), generator) * 2 - 1) * 0.12 * by.unsqueeze(1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [
        torch.stack([cos * scale * stretch * mirror, -sin * scale + shear, shift[:, 0]], dim=1),
        torch.stack([sin * scale * mirror, cos * scale / stretch, shift[:, 1]], dim=1),
    ]
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def flip_some(faces: Tensor, generator: Generator) -> Tensor:
    """Mirror half of the faces (N, 1, 48, 48)."""
    mirrored = _uniform(len(faces), generator) < 0.5
    return torch.where(_per_example(mirrored), faces.flip(3), faces)


def lose_detail(faces: Tensor, generator: Generator) -> Tensor:
    """Blur a sixth of them, take a tenth from half the resolution (small faces in the frame)."""
    chance = _uniform(len(faces), generator)
    blurred = functional.avg_pool2d(functional.pad(faces, (1, 1, 1, 1), mode="replicate"), 3, 1)
    coarse = functional.interpolate(
        functional.avg_pool2d(faces, 2), scale_factor=2.0, mode="bilinear", align_corners=False
    )
    faces = torch.where(_per_example(chance < 0.16), blurred, faces)
    return torch.where(_per_example(chance > 0.9), coarse, faces)


def relight(faces: Tensor, generator: Generator) -> Tensor:
    """Change gamma, contrast and brightness, light some from one side, add sensor noise to some."""
    count = len(faces)
    gamma = torch.exp(_normal(count, generator) * 0.25)
    faces = faces.clamp(1e-3, 1.0) ** _per_example(gamma)
    mean = faces.mean(dim=(1, 2, 3), keepdim=True)
    contrast = torch.exp(_normal(count, generator) * 0.2)
    brightness = _normal(count, generator) * 0.08
    faces = (faces - mean) * _per_example(contrast) + mean + _per_example(brightness)
    faces = faces * (1 + _side_light(faces, generator))
    noise = torch.randn(faces.shape, generator=generator) * _per_example(_uniform(count, generator) * 0.04)
    noisy = _per_example(_uniform(count, generator) < 0.3)
    return torch.where(noisy, faces + noise, faces).clamp(0.0, 1.0)


def erase(faces: Tensor, generator: Generator) -> Tensor:
    """Cover a rectangle of a third of them with one gray: hands, hair, masks (Zhong et al. 2017, random erasing)."""
    count, _, height, width = faces.shape
    size = 0.15 + 0.3 * _uniform((count, 2), generator)
    start = _uniform((count, 2), generator) * (1 - size)
    rows = torch.arange(height).div(height).view(1, -1, 1)
    columns = torch.arange(width).div(width).view(1, 1, -1)
    top, left = start[:, 0].view(-1, 1, 1), start[:, 1].view(-1, 1, 1)
    inside = (rows >= top) & (rows < top + size[:, 0].view(-1, 1, 1))
    inside = inside & (columns >= left) & (columns < left + size[:, 1].view(-1, 1, 1))
    chosen = (_uniform(count, generator) < 0.33).view(-1, 1, 1)
    gray = _per_example(_uniform(count, generator))
    return torch.where((inside & chosen).unsqueeze(1), gray, faces)


def augment_speech(mels: Tensor, generator: Generator) -> Tensor:
    """Return changed copies of log-mels, shape (N, 1, T, M), floats in [-4, 4]; T is time."""
    count = len(mels)
    gain = torch.exp(_normal(count, generator) * 0.08)
    offset = _normal(count, generator) * 0.15
    mels = shift(mels, steps=16, dim=2, generator=generator)
    mels = shift(mels, steps=2, dim=3, generator=generator)
    mels = (mels * _per_example(gain) + _per_example(offset)).clamp(SILENCE, -SILENCE)
    for _ in range(2):
        mels = mask(mels, widest=24, dim=2, generator=generator)
        mels = mask(mels, widest=8, dim=3, generator=generator)
    return mels


def shift(mels: Tensor, steps: int, dim: int, generator: Generator) -> Tensor:
    """Move each example by up to `steps` along `dim`, in time or pitch; what comes in is silence."""
    size = mels.shape[dim]
    by = torch.randint(-steps, steps + 1, (len(mels), 1), generator=generator)
    source = torch.arange(size).view(1, -1) - by
    shape = [len(mels), 1, 1, 1]
    shape[dim] = size
    inside = ((source >= 0) & (source < size)).view(shape)
    index = source.clamp(0, size - 1).view(shape).expand_as(mels)
    return torch.where(inside, mels.gather(dim, index), SILENCE)


def mask(mels: Tensor, widest: int, dim: int, generator: Generator) -> Tensor:
    """Replace a band of up to `widest` rows or columns by 0, the mean of speech (Park et al. 2019, SpecAugment)."""
    size, count = mels.shape[dim], len(mels)
    width = _uniform((count, 1), generator) * widest
    start = _uniform((count, 1), generator) * (size - width)
    place = torch.arange(size).view(1, -1)
    shape = [count, 1, 1, 1]
    shape[dim] = size
    covered = ((place >= start) & (place < start + width)).view(shape)
    return mels.masked_fill(covered, 0.0)


def mixup(inputs: Tensor, targets: Tensor, strength: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Blend each example with another of the batch, the smaller part `strength`/2 on average (Zhang et al. 2018).

    A uniform share stands in for the paper's Beta(a, a): simpler, and as mild as a small a.
    """
    share = _uniform(len(inputs), generator) * strength
    other = torch.randperm(len(inputs), generator=generator)
    for_inputs = share.view(-1, *([1] * (inputs.dim() - 1)))
    for_targets = share.view(-1, 1)
    return inputs.lerp(inputs[other], for_inputs), targets.lerp(targets[other], for_targets)


def _side_light(faces: Tensor, generator: Generator) -> Tensor:
    count, _, height, width = faces.shape
    direction = _uniform(count, generator) * 2 * math.pi
    strength = _uniform(count, generator) * 0.5 * (_uniform(count, generator) < 0.4)
    rows = torch.linspace(-1, 1, height).view(1, 1, -1, 1)
    columns = torch.linspace(-1, 1, width).view(1, 1, 1, -1)
    ramp = rows * _per_example(torch.sin(direction)) + columns * _per_example(torch.cos(direction))
    return ramp * _per_example(strength)


def _per_example(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _uniform(shape: int | tuple[int, ...], generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator)


def _normal(count: int, generator: Generator) -> Tensor:
    """Standard normal values, cut at two deviations: a rare huge change would teach nothing."""
    return torch.randn(count, generator=generator).clamp(-2.0, 2.0)
