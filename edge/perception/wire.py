"""How crops and log-mels stand in evidence messages. Pure; the device packs, the cloud unpacks.

Both are gray pictures to a codec: a crop is one, and a log-mel, whose normalised values of about [-4, 4] become int8
steps of 4/127 (at most 0.016 lost), is one of 64 columns. Lossless WebP packs them smallest of what is at hand
everywhere (`scripts/bench evidence --codecs`), and gives back every bit. It is decoded only if its header says that it
holds exactly as many pixels as expected, so that no small message unpacks into a large one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import BadMessage
from edge.perception.features import FRAMES, LIMIT, N_MELS
from edge.protocol import Evidence

CROP_SHAPE = (48, 48)
LOG_MEL_SHAPE = (FRAMES, N_MELS)
LOG_MEL_SCALE = LIMIT / 127.0

_LOSSLESS = (cv2.IMWRITE_WEBP_QUALITY, 101)
"""OpenCV: any quality above 100 is lossless."""

_HEADER = struct.Struct("<4sI4s4sIBI")
"""RIFF, its size, WEBP, VP8L, its size, 0x2f, then 14 bits each of width - 1 and height - 1 (RFC 9649, 3.4)."""


def pack_crops(crops: Sequence[NDArray[np.uint8]]) -> list[bytes]:
    """Return crops, each (48, 48) uint8, as lossless WebP. Raises ValueError for any other shape or type."""
    for crop in crops:
        if crop.shape != CROP_SHAPE or crop.dtype != np.uint8:
            raise ValueError(f"a crop of {crop.dtype} {crop.shape} is not uint8 {CROP_SHAPE}")
    return [_pack(crop) for crop in crops]


def pack_log_mel(log_mel: NDArray[np.float32]) -> bytes:
    """Return a (186, 64) log-mel as int8 of scale LOG_MEL_SCALE, packed; values beyond +-4 are clipped.

    Raises ValueError for any other shape or values that are not finite.
    """
    if log_mel.shape != LOG_MEL_SHAPE or not np.isfinite(log_mel).all():
        raise ValueError(f"a log-mel of shape {log_mel.shape} is not finite numbers of shape {LOG_MEL_SHAPE}")
    steps = np.clip(np.rint(log_mel / LOG_MEL_SCALE), -127, 127)
    return _pack((steps + 128).astype(np.uint8))


def unpack_crops(evidence: Evidence) -> NDArray[np.float32]:
    """Return the crops as float32 of shape (N, 48, 48) in [0, 1], best first; N may be 0.

    Raises BadMessage if one is not a lossless WebP of 48x48 gray pixels.
    """
    crops = [_unpack(crop, CROP_SHAPE) for crop in evidence.crops]
    pixels = np.stack(crops) if crops else np.empty((0, *CROP_SHAPE), np.uint8)
    return pixels.astype(np.float32) / np.float32(255.0)


def unpack_log_mel(evidence: Evidence) -> NDArray[np.float32] | None:
    """Return the log-mel as float32 of shape (186, 64) in [-4, 4], None where there is none.

    Raises BadMessage if it is not a lossless WebP of so many gray pixels.
    """
    if evidence.log_mel is None:
        return None
    steps = _unpack(evidence.log_mel, LOG_MEL_SHAPE).astype(np.float32) - np.float32(128.0)
    return np.asarray(np.clip(steps * np.float32(evidence.log_mel_scale), -LIMIT, LIMIT), np.float32)


def check_sizes(evidence: Evidence) -> None:
    """Raise BadMessage unless every picture says of itself that it has the right size. Decodes none of them."""
    for crop in evidence.crops:
        _check_size(crop, CROP_SHAPE)
    if evidence.log_mel is not None:
        _check_size(evidence.log_mel, LOG_MEL_SHAPE)


def _pack(pixels: NDArray[np.uint8]) -> bytes:
    done, packed = cv2.imencode(".webp", pixels, _LOSSLESS)
    assert done  # encoding into memory fails for no array of this kind
    return packed.tobytes()


def _unpack(packed: bytes, shape: tuple[int, int]) -> NDArray[np.uint8]:
    _check_size(packed, shape)
    try:
        pixels = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise BadMessage(f"a damaged picture: {error}") from error
    if pixels is None or pixels.shape != (*shape, 3):
        raise BadMessage("a damaged picture")
    if (pixels != pixels[..., :1]).any():
        raise BadMessage("a picture that is not gray")
    return np.asarray(pixels[..., 0], np.uint8)


def _check_size(packed: bytes, shape: tuple[int, int]) -> None:
    if len(packed) < _HEADER.size:
        raise BadMessage(f"a picture of {len(packed)} bytes")
    riff, length, webp, kind, _, mark, size = _HEADER.unpack_from(packed)
    if (riff, webp, kind, mark) != (b"RIFF", b"WEBP", b"VP8L", 0x2F):
        raise BadMessage("a picture that is not lossless WebP")
    if length != len(packed) - 8:
        raise BadMessage(f"a picture of {len(packed)} bytes that says {length + 8} of itself")
    width, height = (size & 0x3FFF) + 1, (size >> 14 & 0x3FFF) + 1
    if (height, width) != shape:
        raise BadMessage(f"a picture of {width}x{height} pixels, not {shape[1]}x{shape[0]}")
