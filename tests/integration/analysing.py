"""What the tests of uploads share: a service's analyses on small models, and files of every kind."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from cloud_models import write_models
from sqlalchemy import Engine

from cloud.analyse.files import Files
from cloud.analyse.jobs import Analyses
from cloud.analyse.limits import Limits
from cloud.analyse.records import Records

TEXT_MODELS = Path(__file__).parents[2] / "cloud" / "models" / "text"


@contextmanager
def analysing(engine: Engine, data: Path, *, detector: Path | None = None, **limits: float) -> Iterator[Analyses]:
    """Yield analyses on tiny full-size models, whose answers are known: see `cloud_models`."""
    models = data / "models"
    if not models.exists():
        write_models(models)
    running = Analyses(Records(engine), Files(data), models, TEXT_MODELS, detector=detector, limits=Limits(**limits))
    try:
        yield running
    finally:
        running.close()


def wait_for(condition, within_s: float = 60.0, every_s: float = 0.02):
    """Return the first true answer of `condition`."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < deadline
        time.sleep(every_s)
    return answer


def png(width: int = 64, height: int = 48, level: int = 128) -> bytes:
    """Return a gray picture."""
    return cv2.imencode(".png", np.full((height, width, 3), level, np.uint8))[1].tobytes()


def huge_png(side: int) -> bytes:
    """Return a small file that says, truly, that it is side x side pixels of one bit."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
