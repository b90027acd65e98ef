"""Still pictures: decoded by OpenCV, which turns photos upright as browsers do. Runs in the child process."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cloud.errors import AnalysisError

FORMATS = ("png_pipe", "jpeg_pipe", "bmp_pipe", "webp_pipe")
"""FFmpeg's names for them."""

WIDTH = 1_600
"""Pixels: larger pictures are scaled down to it; smaller faces than this leaves are not found anyway."""

_TAIL = 65_536
"""Cameras put things behind the end."""


def decode(data: bytes, *, max_pixels: int, max_width: int = WIDTH) -> tuple[NDArray[np.uint8], int, int]:
    """Return the picture, (H, W, 3) BGR and upright, at most `max_width` wide, and its true width and height.

    Raises AnalysisError if it is damaged, breaks off or has too many pixels.
    """
    if _breaks_off(data):
        raise AnalysisError("the picture breaks off before its end", fix="Upload it again, whole.")
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        if "PIXELS" in str(error) or "WIDTH" in str(error) or "HEIGHT" in str(error):
            raise too_many_pixels(max_pixels) from error
        raise AnalysisError("the picture is damaged") from error
    if found is None:
        raise AnalysisError("the picture is damaged")
    height, width = found.shape[:2]
    if width * height > max_pixels:
        raise too_many_pixels(max_pixels)
    if width > max_width:
        size = (max_width, max(1, round(height * max_width / width)))
        found = cv2.resize(found, size, interpolation=cv2.INTER_AREA)
    return np.asarray(found, np.uint8), width, height


def too_many_pixels(most: int) -> AnalysisError:
    """Return the refusal of a picture that would take too much memory."""
    return AnalysisError(f"it has more than {most // 1_000_000} million pixels", fix="Make it smaller.")


def png_pixels(data: bytes) -> int:
    """Return how many pixels a PNG says it has, 0 for anything else: FFmpeg keeps silent about too large ones."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        return 0
    return int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")


def _breaks_off(data: bytes) -> bool:
    """Say whether a JPEG or PNG lacks its end mark: decoders paint the missing rest gray and say nothing."""
    end = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}.get(data[:2])
    return end is not None and end not in data[-_TAIL:]
