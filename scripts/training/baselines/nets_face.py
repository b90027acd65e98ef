"""The face nets of the papers. All take (N, 1, 48, 48) in [0, 1] and return 7 logits, for FER2013 labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from edge.emotions import EMOTIONS

CLASSES = len(EMOTIONS)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""What torchvision's weights were trained with."""
XCEPTION_MEAN = XCEPTION_DEVIATION = (0.5, 0.5, 0.5)
"""What Xception's were: colours from -1 to 1."""

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Channels of the convolutions; 0 is a pooling layer (Simonyan and Zisserman 2015, configuration D)."""

VGG16_FROZEN = 24
"""Layers of the pretrained net that stay as they are: four of the five blocks, so that 48x48 faces teach the fifth."""


class Colours(nn.Module):
    """Repeat gray as red, green and blue, on the scale of pretrained weights: (N, 1, H, W) -> (N, 3, H, W)."""

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the colours."""
        return (x - self.get_buffer("mean")) / self.get_buffer("deviation")


def kottayam_cnn() -> nn.Sequential:
    """Three times convolution, max-pooling, dropout; then a dense layer of 512."""
    layers: list[nn.Module] = []
    inputs = 1
    for width in (64, 128, 256):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)]
        inputs = width
    head = [nn.Flatten(), nn.Linear(256 * 6 * 6, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, CLASSES)]
    return nn.Sequential(*layers, *head)


def minigenie_cnn() -> nn.Sequential:
    """Four blocks of two convolutions with batch normalisation and ELU; then dense layers of 256, 128 and 64."""
    layers: list[nn.Module] = []
    inputs = 1
    for width in (32, 64, 128, 256):
        for channels in (inputs, width):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ELU()]
        layers += [nn.MaxPool2d(2), nn.Dropout(0.25)]
        inputs = width
    layers.append(nn.Flatten())
    inputs = 256 * 3 * 3
    for width in (256, 128, 64):
        layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ELU(), nn.Dropout(0.25)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, CLASSES))


class Vgg16(nn.Module):
    """VGG16's convolutions with a small head; `features` is named and numbered as in torchvision's vgg16.

    `divisor` divides the channels. `pretrained`: colours go in, and the first four blocks are not trained.
    """

    def __init__(self, *, divisor: int, pretrained: bool) -> None:
        super().__init__()
        self.colours = Colours(IMAGENET_MEAN, IMAGENET_DEVIATION) if pretrained else nn.Identity()
        layers: list[nn.Module] = []
        inputs = 3 if pretrained else 1
        for width in VGG16:
            if width:
                layers += [_he(nn.Conv2d(inputs, width // divisor, 3, padding=1)), nn.ReLU()]
                inputs = width // divisor
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        if pretrained:
            self.features[:VGG16_FROZEN].requires_grad_(requires_grad=False)
        dense = nn.Linear(inputs, 512 // divisor)
        self.head = nn.Sequential(dense, nn.ReLU(), nn.Dropout(0.5), nn.Linear(512 // divisor, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 7); five poolings leave one place of 48x48."""
        logits: Tensor = self.head(self.features(self.colours(x)).flatten(1))
        return logits


@dataclass(frozen=True, kw_only=True)
class XceptionShape:
    """Channels: of the two convolutions at the start, the entry flow, the end; and how many middle blocks."""

    stem: tuple[int, int]
    entry: tuple[int, int, int]
    last: tuple[int, int, int]
    middle: int
    stem_stride: int


XCEPTION = XceptionShape(stem=(32, 64), entry=(128, 256, 728), last=(1024, 1536, 2048), middle=8, stem_stride=2)
"""Chollet 2017, arXiv:1610.02357, figure 5."""

SMALL_XCEPTION = XceptionShape(stem=(8, 16), entry=(32, 64, 184), last=(256, 384, 512), middle=2, stem_stride=1)


class Separable(nn.Module):
    """A 3x3 convolution of each channel alone (`conv1`), then one across channels (`pointwise`)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Keep height and width."""
        mixed: Tensor = self.pointwise(self.conv1(x))
        return mixed


class Block(nn.Module):
    """Separable convolutions from width to width, `stride` 2 pooling at their end, and a way round them."""

    def __init__(self, widths: Sequence[int], *, stride: int, relu_first: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.ReLU(), Separable(inputs, outputs), nn.BatchNorm2d(outputs)]
        if not relu_first:
            layers = layers[1:]
        if stride > 1:
            layers.append(nn.MaxPool2d(3, stride, padding=1))
        self.rep = nn.Sequential(*layers)
        self.skip: nn.Module = nn.Identity()
        self.skipbn: nn.Module = nn.Identity()
        if stride > 1 or widths[0] != widths[-1]:
            self.skip = nn.Conv2d(widths[0], widths[-1], 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Halve height and width (rounding up) if the stride is 2, else keep them."""
        both: Tensor = self.skipbn(self.skip(x)) + self.rep(x)
        return both


class Xception(nn.Module):
    """Xception; layers are named as in the PyTorch weights that timm calls legacy_xception (Cadene's port)."""

    def __init__(self, shape: XceptionShape, *, pretrained: bool) -> None:
        super().__init__()
        first, second = shape.stem
        padding = 2 - shape.stem_stride  # with stride 1 the resolution stays, the original starts with stride 2
        self.colours = Colours(XCEPTION_MEAN, XCEPTION_DEVIATION) if pretrained else nn.Identity()
        self.conv1 = nn.Conv2d(3 if pretrained else 1, first, 3, shape.stem_stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, padding=padding, bias=False)
        self.bn2 = nn.BatchNorm2d(second)
        one, two, wide = shape.entry
        blocks = [Block((second, one, one), stride=2, relu_first=False), Block((one, two, two), stride=2)]
        blocks.append(Block((two, wide, wide), stride=2))
        blocks += [Block((wide,) * 4, stride=1) for _ in range(shape.middle)]
        blocks.append(Block((wide, wide, shape.last[0]), stride=2))
        for number, block in enumerate(blocks, start=1):
            self.add_module(f"block{number}", block)
        self.conv3, self.bn3 = Separable(shape.last[0], shape.last[1]), nn.BatchNorm2d(shape.last[1])
        self.conv4, self.bn4 = Separable(shape.last[1], shape.last[2]), nn.BatchNorm2d(shape.last[2])
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(shape.last[2], CLASSES))
        self._blocks = len(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 7)."""
        x = torch.relu(self.bn1(self.conv1(self.colours(x))))
        x = torch.relu(self.bn2(self.conv2(x)))
        for number in range(1, self._blocks + 1):
            x = self.get_submodule(f"block{number}")(x)
        x = torch.relu(self.bn3(self.conv3(x)))
        x = torch.relu(self.bn4(self.conv4(x)))
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


def build_face(name: str, *, pretrained: bool) -> nn.Module:
    """Return the freshly initialised net `name`; a full-size one if `pretrained` weights are to be put into it."""
    if name == "kottayam-cnn":
        return kottayam_cnn()
    if name == "minigenie-cnn":
        return minigenie_cnn()
    if name == "vgg16":
        return Vgg16(divisor=1 if pretrained else 2, pretrained=pretrained)
    return Xception(XCEPTION if pretrained else SMALL_XCEPTION, pretrained=pretrained)


def _he(layer: nn.Conv2d) -> nn.Conv2d:
    """Initialise for ReLU: without batch normalisation the signal would die on its way through 13 layers."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(_bias(layer))
    return layer


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
