"""How crops and log-mels stand in evidence messages. Pure; the device packs, the cloud unpacks.

A log-mel is normalised to about [-4, 4] (features.py), so int8 steps of 4/127 lose at most 0.016 of that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.errors import BadMessage
from edge.perception.features import FRAMES, LIMIT, N_MELS
from edge.protocol import FACE_CROP_BYTES, Evidence

CROP_SHAPE = (48, 48)
LOG_MEL_SHAPE = (FRAMES, N_MELS)
LOG_MEL_SCALE = LIMIT / 127.0


def pack_crops(crops: Sequence[NDArray[np.uint8]]) -> list[bytes]:
    """Return crops, each (48, 48) uint8, as bytes, row by row. Raises ValueError for any other shape or type."""
    for crop in crops:
        if crop.shape != CROP_SHAPE or crop.dtype != np.uint8:
            raise ValueError(f"a crop of {crop.dtype} {crop.shape} is not uint8 {CROP_SHAPE}")
    return [crop.tobytes() for crop in crops]


def pack_log_mel(log_mel: NDArray[np.float32]) -> bytes:
    """Return a (186, 64) log-mel as int8 of scale LOG_MEL_SCALE, row by row; values beyond +-4 are clipped.

    Raises ValueError for any other shape or values that are not finite.
    """
    if log_mel.shape != LOG_MEL_SHAPE or not np.isfinite(log_mel).all():
        raise ValueError(f"a log-mel of shape {log_mel.shape} is not finite numbers of shape {LOG_MEL_SHAPE}")
    steps = np.clip(np.rint(log_mel / LOG_MEL_SCALE), -127, 127)
    return bytes(steps.astype(np.int8).tobytes())


def unpack_crops(evidence: Evidence) -> NDArray[np.float32]:
    """Return the crops as float32 of shape (N, 48, 48) in [0, 1], best first; N may be 0."""
    for crop in evidence.crops:
        if len(crop) != FACE_CROP_BYTES:
            raise BadMessage(f"a crop of {len(crop)} bytes is not {FACE_CROP_BYTES}")
    pixels = np.frombuffer(b"".join(evidence.crops), dtype=np.uint8)
    return (pixels.astype(np.float32) / np.float32(255.0)).reshape(-1, *CROP_SHAPE)


def unpack_log_mel(evidence: Evidence) -> NDArray[np.float32] | None:
    """Return the log-mel as float32 of shape (186, 64) in [-4, 4], None where there is none.

    Raises BadMessage if it is of another length.
    """
    if evidence.log_mel is None:
        return None
    steps = np.frombuffer(evidence.log_mel, dtype=np.int8)
    if steps.size != LOG_MEL_SHAPE[0] * LOG_MEL_SHAPE[1]:
        raise BadMessage(f"a log-mel of {steps.size} bytes is not {LOG_MEL_SHAPE[0]} x {LOG_MEL_SHAPE[1]}")
    values = steps.astype(np.float32) * np.float32(evidence.log_mel_scale)
    return np.asarray(np.clip(values, -LIMIT, LIMIT), np.float32).reshape(LOG_MEL_SHAPE)
