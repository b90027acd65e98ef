"""Fitting the time-delay network of `edge.perception.vad`: back-propagation and Adam in NumPy, minutes on one core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.perception.vad import Layer, Network
from training.vad_scenes import Scene

OFFSETS = ((0,), (-2, -1, 0, 1, 2), (-6, -3, 0, 3, 6), (-18, -9, 0, 9, 18))
"""What each hidden layer sees of the one below, in frames: together 26 frames (0.52 s) to each side."""

WIDTH = 24
BATCH = 32
LEARNING_RATE = 4e-3
WARM_UP_STEPS = 50
WEIGHT_DECAY = 1e-4
MOMENTUM, SQUARES = 0.9, 0.99

Array = NDArray[np.float32]


class Fit:
    """A network being fitted: parameters, and Adam's running means."""

    def __init__(self, inputs: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.offsets = (*OFFSETS, (0,))
        self._parameters: list[Array] = []
        for depth, offsets in enumerate(self.offsets):
            outputs = WIDTH if depth < len(OFFSETS) else 1
            fan_in = inputs * len(offsets)
            scale = np.sqrt(2.0 / fan_in)
            self._parameters.append((rng.standard_normal((fan_in, outputs)) * scale).astype(np.float32))
            self._parameters.append(np.zeros(outputs, np.float32))
            inputs = outputs
        self._mean = [np.zeros_like(each) for each in self._parameters]
        self._square = [np.zeros_like(each) for each in self._parameters]
        self._steps = 0

    def step(self, rows: Array, label: Array, weight: Array, rate: float) -> float:
        """Take one step on a batch: rows (B, T, 29), label and weight (B, T). Return the loss before it."""
        odds, seen, out = self._forward(rows)
        probability = (1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))).astype(np.float32)
        total = max(float(weight.sum()), 1.0)
        error = (probability - label) * weight / np.float32(total)
        self._update(self._gradients(error[..., None], seen, out), rate)
        right = np.where(label > 0.5, probability, 1.0 - probability)
        return float(-(np.log(right + 1e-9) * weight).sum() / total)

    def network(self) -> Network:
        """Return the network as it is now, rounded to four digits as it will be stored."""
        rounded = [np.array([float(f"{x:.4g}") for x in each.ravel()], np.float32) for each in self._parameters]
        shaped = [flat.reshape(each.shape) for flat, each in zip(rounded, self._parameters, strict=True)]
        return Network(
            tuple(
                Layer(offsets, shaped[2 * depth], shaped[2 * depth + 1]) for depth, offsets in enumerate(self.offsets)
            )
        )

    def _forward(self, rows: Array) -> tuple[Array, list[Array], list[Array]]:
        """Return the log-odds (B, T), what each layer saw, and what it gave."""
        seen, out = [], []
        for depth, offsets in enumerate(self.offsets):
            seen.append(_side_by_side(rows, offsets))
            rows = seen[-1] @ self._parameters[2 * depth] + self._parameters[2 * depth + 1]
            if depth < len(OFFSETS):
                rows = np.maximum(rows, 0.0)
            out.append(rows)
        return rows[..., 0], seen, out

    def _gradients(self, error: Array, seen: list[Array], out: list[Array]) -> list[Array]:
        gradients: list[Array] = []
        for depth in reversed(range(len(self.offsets))):
            if depth < len(OFFSETS):
                error = error * (out[depth] > 0.0)
            flat = error.reshape(-1, error.shape[-1])
            gradients = [seen[depth].reshape(len(flat), -1).T @ flat, flat.sum(axis=0), *gradients]
            if depth:
                error = _back_in_place(error @ self._parameters[2 * depth].T, self.offsets[depth])
        return gradients

    def _update(self, gradients: list[Array], rate: float) -> None:
        """Adam (Kingma and Ba 2015) with decoupled weight decay."""
        self._steps += 1
        for index, gradient in enumerate(gradients):
            self._mean[index] += (1.0 - MOMENTUM) * (gradient - self._mean[index])
            self._square[index] += (1.0 - SQUARES) * (gradient**2 - self._square[index])
            unbiased = self._mean[index] / (1.0 - MOMENTUM**self._steps)
            spread = np.sqrt(self._square[index] / (1.0 - SQUARES**self._steps)) + 1e-8
            self._parameters[index] -= rate * (unbiased / spread + WEIGHT_DECAY * self._parameters[index])


def fit(scenes: list[Scene], *, epochs: int, seed: int) -> Network:
    """Fit a network to the scenes; prints the loss per epoch."""
    rng = np.random.default_rng(seed)
    state = Fit(scenes[0].rows.shape[1], seed)
    order = np.argsort([len(each.label) for each in scenes], kind="stable")  # batches of one length waste nothing
    batches = [_batch([scenes[i] for i in order[start : start + BATCH]]) for start in range(0, len(order), BATCH)]
    total, done = epochs * len(batches), 0
    for epoch in range(epochs):
        losses = []
        for index in rng.permutation(len(batches)):
            done += 1
            rate = LEARNING_RATE * min(1.0, done / WARM_UP_STEPS) * 0.5 * (1.0 + np.cos(np.pi * done / total))
            rows, label, weight = batches[index]
            losses.append(state.step(rows, label, weight, rate))
        print(f"epoch {epoch + 1:2}/{epochs}: cross-entropy {np.mean(losses):.4f}", flush=True)
    return state.network()


def _batch(scenes: list[Scene]) -> tuple[Array, Array, Array]:
    longest = max(len(each.label) for each in scenes)
    missing = [longest - len(each.label) for each in scenes]
    rows = [np.pad(each.rows, ((0, more), (0, 0)), mode="edge") for each, more in zip(scenes, missing, strict=True)]
    label = [np.pad(each.label, (0, more)) for each, more in zip(scenes, missing, strict=True)]
    weight = [np.pad(each.weight, (0, more)) for each, more in zip(scenes, missing, strict=True)]
    return np.stack(rows), np.stack(label), np.stack(weight)


def _side_by_side(rows: Array, offsets: tuple[int, ...]) -> Array:
    frames = np.arange(rows.shape[1])
    return np.concatenate([rows[:, np.clip(frames + offset, 0, len(frames) - 1)] for offset in offsets], axis=2)


def _back_in_place(error: Array, offsets: tuple[int, ...]) -> Array:
    """Add up what `_side_by_side` spread: the gradient with regard to its rows, (B, T, D)."""
    length, width = error.shape[1], error.shape[2] // len(offsets)
    out = np.zeros((error.shape[0], length, width), np.float32)
    for place, offset in enumerate(offsets):
        part = error[:, :, place * width : (place + 1) * width]
        if offset >= 0:
            inside = max(length - offset, 0)
            out[:, offset:] += part[:, :inside]
            out[:, -1] += part[:, inside:].sum(axis=1)
        else:
            out[:, :offset] += part[:, -offset:]
            out[:, 0] += part[:, :-offset].sum(axis=1)
    return out
