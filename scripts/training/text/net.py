"""The text net: a small BERT encoder that starts from public weights, and two heads.

The layout and the names of its weights are those of BERT (Devlin et al. 2019, arXiv:1810.04805); the public weights are
all-MiniLM-L6-v2 (6 layers, 384 wide; Wang et al. 2020, "MiniLM", arXiv:2002.10957; Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

EMOTION_LOGITS = 7
RAW_LOGITS = 28
"""GoEmotions' finer labels: they teach, and do not ship."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of the encoder."""

    vocabulary: int
    layers: int = 6
    width: int = 384
    heads: int = 12
    inner: int = 1536
    positions: int = 64
    dropout: float = 0.1


class TextNet(nn.Module):
    """Word pieces to the logits of our seven emotions, and while training of the release's 28 after them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.dropout = nn.Dropout(shape.dropout)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.emotions = nn.Linear(shape.width, EMOTION_LOGITS)
        self.raw = nn.Linear(shape.width, RAW_LOGITS)

    def lower(self, pieces: Tensor, mask: Tensor, layers: int) -> Tensor:
        """Return, (N, T, width), what the first `layers` layers make of the pieces.

        `pieces` is (N, T) int64; `mask` (N, T) is 1.0 where there is one, 0.0 where it pads.
        """
        places = torch.arange(pieces.shape[1], device=pieces.device)
        hidden = self.dropout(self.norm(self.words(pieces) + self.positions(places)))
        return self._through(hidden, mask, 0, layers)

    def upper(self, hidden: Tensor, mask: Tensor, layers: int) -> tuple[Tensor, Tensor]:
        """Go on after the first `layers`: return the logits (N, 7) of our emotions and (N, 28) of the release's."""
        hidden = self._through(hidden, mask, layers, len(self.layers))
        weights = mask[:, :, None]
        pooled = self.dropout((hidden * weights).sum(1) / weights.sum(1))
        return self.emotions(pooled), self.raw(pooled)

    def forward(self, pieces: Tensor, mask: Tensor) -> Tensor:
        """Return the logits, (N, 7), of our emotions."""
        return self.upper(self.lower(pieces, mask, 0), mask, 0)[0]

    def _through(self, hidden: Tensor, mask: Tensor, first: int, end: int) -> Tensor:
        # Added to the attention: padding is not attended to. -1e4 and not -inf, which half precision turns to NaN.
        shut = (1.0 - mask)[:, None, None, :] * -1e4
        for layer in self.layers[first:end]:
            hidden = layer(hidden, shut)
        return hidden


class Layer(nn.Module):
    """Self-attention and a feed-forward net, each added and normalised after (BERT's order)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attend = nn.Linear(shape.width, 3 * shape.width)
        self.attended = nn.Linear(shape.width, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.inner = nn.Linear(shape.width, shape.inner)
        self.outer = nn.Linear(shape.inner, shape.width)
        self.last_norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, hidden: Tensor, shut: Tensor) -> Tensor:
        """Return (N, T, width) for the same."""
        count, length, width = hidden.shape
        parts = self.attend(hidden).view(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        # Written out: torch's own fused attention took half of a training step on short texts on a CPU.
        scores = parts[0] @ parts[1].transpose(2, 3) * (width // self.heads) ** -0.5 + shut.to(parts.dtype)
        answer = scores.softmax(dim=3).to(parts.dtype) @ parts[2]
        answer = self.attended(answer.transpose(1, 2).reshape(count, length, width))
        hidden = self.norm(hidden + self.dropout(answer))
        return cast("Tensor", self.last_norm(hidden + self.dropout(self.outer(gelu(self.inner(hidden))))))


def load_public(net: TextNet, weights: Mapping[str, Tensor], kept: list[int]) -> None:
    """Put BERT's public weights into the net; `kept` are the numbers of its vocabulary that the net has, in order."""
    mine = {
        "words.weight": weights["embeddings.word_embeddings.weight"][kept],
        # Every text is one segment, so what BERT adds for the first segment is part of the positions.
        "positions.weight": weights["embeddings.position_embeddings.weight"][: net.positions.num_embeddings]
        + weights["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": weights["embeddings.LayerNorm.weight"],
        "norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    for number in range(len(net.layers)):
        there = f"encoder.layer.{number}."
        for kind in ("weight", "bias"):
            three = [weights[f"{there}attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            mine[f"layers.{number}.attend.{kind}"] = torch.cat(three)
            for ours, theirs in _LAYER_NAMES.items():
                mine[f"layers.{number}.{ours}.{kind}"] = weights[f"{there}{theirs}.{kind}"]
    fresh = {name: value for name, value in net.state_dict().items() if name.startswith(("emotions.", "raw."))}
    net.load_state_dict({**mine, **fresh})


_LAYER_NAMES = {
    "attended": "attention.output.dense",
    "norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "last_norm": "output.LayerNorm",
}
