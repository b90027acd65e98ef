"""The networks: small residual nets of plain convolutions, which int8 kernels and CPUs both run fast.

A face net takes (N, 1, 48, 48) in [0, 1] and returns 14 logits: 7 for FER+ votes, then 7 for FER2013 labels. A speech
net takes (N, 1, 186, 64) in [-4, 4] and returns 8 logits. No recurrent layers: the int8 converter crashes on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.perception.features import FRAMES, LIMIT, N_MELS, SILENCE

FACE_LOGITS = 2 * len(EMOTIONS)
SPEECH_LOGITS = len(SPEECH_EMOTIONS)
SPEECH_BANDS = N_MELS // 16
"""Height in bands of a speech net's last feature map: the stem and three stages each halve it."""


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """Shape of one net: channels and residual blocks per stage. Every stage halves the resolution (`halve_first`)."""

    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    dropout: float
    stem_kernel: int = 3
    stem_stride: int = 1
    halve_first: bool = True
    """Whether the first stage after the stem halves the resolution, too."""


FACE_NETS = {
    "edge": NetConfig(stem=16, widths=(24, 48, 104), blocks=(1, 1, 1), dropout=0.1),
    # A stem that halves the resolution at once: at 48x48 memory, not arithmetic, took most of a training step.
    "full": NetConfig(
        stem=32, widths=(48, 128, 256), blocks=(1, 2, 2), dropout=0.3, stem_kernel=6, stem_stride=2, halve_first=False
    ),
}
SPEECH_NETS = {
    "edge": NetConfig(stem=16, widths=(24, 40, 80), blocks=(1, 1, 1), dropout=0.2, stem_stride=2),
    "full": NetConfig(stem=24, widths=(32, 64, 128), blocks=(1, 1, 1), dropout=0.3, stem_stride=2),
}


def conv_bn(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution with batch normalisation, which the exporter folds into the weights."""
    padding = (kernel - 1) // 2
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Two 3x3 convolutions with an identity around them (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_bn(width, width)
        self.second = conv_bn(width, width)
        for layer in self.second:
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.zeros_(layer.weight)  # starts as the identity: steadier at high learning rates

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape, (N, width, H, W)."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class ConvNet(nn.Module):
    """Stem, stages, pooling, logits.

    A face's last feature map is averaged. Speech keeps its bands apart and takes mean and maximum over time: where in
    the spectrum something happens matters, when it happens does not.
    """

    def __init__(self, config: NetConfig, logits: int, *, bands: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(1, config.stem, config.stem_stride, config.stem_kernel), nn.ReLU()]
        width, stride = config.stem, 2 if config.halve_first else 1
        for wider, blocks in zip(config.widths, config.blocks, strict=True):
            layers += [conv_bn(width, wider, stride), nn.ReLU(), *(Residual(wider) for _ in range(blocks))]
            width, stride = wider, 2
        self.features = nn.Sequential(*layers)
        self.bands = bands
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(width * max(2 * bands, 1), logits)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, logits) for (N, 1, H, W)."""
        features = self.features(x)
        if self.bands:
            pooled = torch.cat([features.mean(dim=2), features.amax(dim=2)], dim=1).flatten(1)
        else:
            pooled = features.mean(dim=(2, 3))
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


CENTRE = ((0, 0),)
CROSS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
"""Places, rows and columns of pixels off, at which a face is looked at. Others were no better: docs/results.md."""


class Ensemble(nn.Module):
    """The mean logits of several nets, which err on different examples."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, logits) for (N, 1, H, W)."""
        return torch.stack([net(x) for net in self.nets]).mean(dim=0)


class Consensus(Ensemble):
    """Face nets that share the looks at a face, at several places and mirrored; the mean of their logits.

    A net whose first step is two pixels wide answers differently a pixel off. What comes in at the border is mirrored.
    The nets take turns, so that several cost no more than one: all looks by all nets are no better (docs/results.md).
    """

    def __init__(self, nets: Sequence[nn.Module], places: Sequence[tuple[int, int]] = CROSS) -> None:
        super().__init__(nets)
        self.places = tuple(places)

    @property
    def looks(self) -> int:
        """How often a face is looked at."""
        return 2 * len(self.places)

    def forward(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return logits (N, logits) for (N, 1, H, W).

        `weights`, (L,), are of the first L looks, at least one for each net, and save the others: two at each place,
        the face as it is first, at the next place its mirror image first, so that each net sees both. Without them all
        are taken and count the same.
        """
        weights = x.new_full((self.looks,), 1 / self.looks) if weights is None else weights
        count = weights.shape[0]  # not len(weights), which the exporter takes for a constant
        height, width = x.shape[2:]
        wide = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        views = [wide[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width] for down, right in self.places]
        sides = [(view, view.flip(3))[:: -1 if place % 2 else 1] for place, view in enumerate(views)]
        looks = torch.stack([look for both in sides for look in both])[:count]
        total = x.new_zeros(())
        for number, net in enumerate(self.nets):
            mine, weight = looks[number :: len(self.nets)], weights[number :: len(self.nets)]
            logits = net(mine.flatten(0, 1))
            total = total + torch.einsum("l,lnc->nc", weight, logits.view(weight.shape[0], -1, logits.shape[1]))
        return total


def build(task: str, arch: str) -> ConvNet:
    """Return a freshly initialised net; `task` is face or speech, `arch` edge or full."""
    if task == "face":
        return ConvNet(FACE_NETS[arch], FACE_LOGITS)
    return ConvNet(SPEECH_NETS[arch], SPEECH_LOGITS, bands=SPEECH_BANDS)


INPUT_LIMITS = {"face": (0.0, 1.0), "speech": (SILENCE, LIMIT)}
"""Smallest and largest value of an input: with 255 int8 steps between, a face's pixels lose nothing."""


def input_shape(task: str) -> tuple[int, int, int]:
    """Return (channels, height, width) of one example."""
    return (1, 48, 48) if task == "face" else (1, FRAMES, N_MELS)


def count_parameters(net: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in net.parameters())


def count_macs(net: nn.Module, shape: tuple[int, int, int]) -> int:
    """Return the multiply-accumulates of the convolutions and linear layers for one example of `shape`."""
    total = 0

    def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += len(output) * module.weight.numel()

    hooks = [module.register_forward_hook(count) for module in net.modules()]
    training = net.training
    net.eval()
    with torch.no_grad():
        net(torch.zeros(1, *shape))
    net.train(training)
    for hook in hooks:
        hook.remove()
    return total
