"""Examples of the text net: texts as word pieces, their targets, and what the frozen layers make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from cloud.inference.pieces import plain
from edge.emotions import EMOTIONS
from training.prepare.goemotions import EMOTION_LIST
from training.text.data import Row, truth
from training.text.net import TextNet

CHUNK = 50
"""Batches are cut from so many batches' worth of texts sorted by length: little padding, and still mixed."""
QUIET_BATCH = 128


@dataclass(frozen=True)
class Examples:
    """N texts as the net takes them, each with its targets."""

    hidden: list[Tensor]
    """(T, width) bfloat16 each: what the frozen layers, which never change, make of the pieces."""
    emotions: Tensor
    """(N, 7): a distribution; of several emotions each has its share."""
    raw: Tensor
    """(N, 28): 1.0 for each finer label."""

    def __len__(self) -> int:
        return len(self.hidden)

    def batches(self, order: Tensor, size: int, generator: Generator) -> Iterator[Tensor]:
        """Yield the numbers in `order`, of examples of like length, `size` at a time."""
        groups: list[Tensor] = []
        for chunk in torch.split(order, size * CHUNK):
            lengths = torch.tensor([len(self.hidden[number]) for number in chunk])
            groups.extend(torch.split(chunk[lengths.argsort(stable=True)], size))
        for place in torch.randperm(len(groups), generator=generator):
            yield groups[place]

    def padded(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden (N, T, width) float32 and mask (N, T) of these examples."""
        return pad([self.hidden[number] for number in numbers])


def pad(hidden: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the sequences padded to the longest, float32, and the mask, 1.0 where there is something."""
    lengths = torch.tensor([len(each) for each in hidden])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).float()
    return pad_sequence(list(hidden), batch_first=True).float(), mask


def make_examples(rows: Sequence[Row], tokenizer: Tokenizer, net: TextNet, frozen: int, title: str) -> Examples:
    """Return the rows as examples, run through the first `frozen` layers."""
    given = torch.from_numpy(truth(rows).astype(np.float32))
    raw = torch.tensor([[float(name in row.raw) for name in EMOTION_LIST] for row in rows])
    return Examples(_run_lower(rows, tokenizer, net, frozen, title), given / given.sum(1, keepdim=True), raw)


@torch.no_grad()
def _run_lower(rows: Sequence[Row], tokenizer: Tokenizer, net: TextNet, frozen: int, title: str) -> list[Tensor]:
    encoded = [torch.tensor(each.ids) for each in tokenizer.encode_batch([plain(row.text) for row in rows])]
    order = sorted(range(len(encoded)), key=lambda number: len(encoded[number]))
    hidden: list[Tensor] = [torch.empty(0)] * len(encoded)
    net.eval()
    for first in tqdm(range(0, len(order), QUIET_BATCH), desc=title, unit="batch", mininterval=1.0, leave=False):
        numbers = order[first : first + QUIET_BATCH]
        lengths = torch.tensor([len(encoded[number]) for number in numbers])
        pieces = pad_sequence([encoded[number] for number in numbers], batch_first=True)
        mask = (torch.arange(pieces.shape[1]) < lengths[:, None]).float()
        with torch.autocast("cpu", torch.bfloat16):
            answers = net.lower(pieces, mask, frozen).bfloat16()
        for number, answer, length in zip(numbers, answers, lengths, strict=True):
            hidden[number] = answer[:length].clone()
    return hidden


@torch.no_grad()
def predict(net: TextNet, examples: Examples, frozen: int) -> NDArray[np.float32]:
    """Return the logits, (N, 7)."""
    net.eval()
    logits = torch.zeros(len(examples), len(EMOTIONS))
    order = torch.tensor([len(each) for each in examples.hidden]).argsort()
    for numbers in torch.split(order, QUIET_BATCH):
        with torch.autocast("cpu", torch.bfloat16):
            logits[numbers] = net.upper(*examples.padded(numbers), frozen)[0].float()
    return np.asarray(logits.numpy(), dtype=np.float32)
