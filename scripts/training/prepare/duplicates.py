"""Pixel-identical and nearly identical pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEAR_CORRELATION = 0.95
"""Two pictures whose pixels correlate at least so much count as near-duplicates: FER2013 has the same photo cropped or
brightened anew. Chosen to agree with the near-duplicates that were marked in PublicTest before."""

_CHUNK = 512


def identical_groups(images: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return (N,) a number that identical images share, counted from 0 in the order of the images; -1 for the rest."""
    flat = images.reshape(len(images), -1)
    _, first, inverse, counts = np.unique(
        flat.view(np.dtype((np.void, flat.shape[1]))).reshape(-1),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    numbers = np.full(len(first), -1, np.int32)
    shared = np.flatnonzero(counts > 1)
    numbers[shared[np.argsort(first[shared])]] = np.arange(len(shared))
    return np.asarray(numbers[inverse.reshape(-1)], np.int32)


def stand_in(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (N,) True where an image of `images` stands, pixel by pixel, in `others`."""
    known = {image.tobytes() for image in others}
    return np.array([image.tobytes() in known for image in images], bool)


def nearly_stand_in(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (N,) True where an image correlates with one of `others` by NEAR_CORRELATION or more; blank ones never.

    N x M x 2304 multiplications.
    """
    if not len(others):
        return np.zeros(len(images), bool)
    known = _normalised(others).T
    parts = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    best = [np.max(_normalised(part) @ known, axis=1) for part in parts]
    return np.concatenate([np.zeros(0, np.float32), *best]) >= NEAR_CORRELATION


def _normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (N, H*W) without mean and of length 1; a blank image becomes zeros."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return flat
