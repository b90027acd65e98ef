"""Finding faces: two detectors behind one interface.

YuNet (OpenCV Zoo, `cv2.FaceDetectorYN`) is preferred where its weights are; OpenCV's Haar cascade comes with OpenCV and
is always there. Measured on 10 photos with 43 faces at 320 px width on one thread: Haar alt2 found 33 in 64 ms, YuNet
43 in 10 ms.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError

DETECT_WIDTH = 320
"""Pixels. Images are scaled down to this width before detection; faces from about 20 px of it are found."""

YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_SCORE = 0.7
YUNET_NMS = 0.3
YUNET_TOP = 50

HAAR_FILE = "haarcascade_frontalface_alt2.xml"
HAAR_SCALE = 1.2
"""Between two sizes of the search. 1.1 costs 1.7 times as much and found no more faces in 112 frames of 7 clips."""
HAAR_NEIGHBOURS = 3
HAAR_MIN_PX = 24


@dataclass(frozen=True)
class Face:
    """One detected face, in pixels of the image given. Lives for one frame; nothing of it is stored or published."""

    x: float
    y: float
    width: float
    height: float
    score: float
    points: NDArray[np.float32] | None
    """(5, 2): right eye, left eye, nose, right and left corner of the mouth; None where the detector has none."""

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    def moved(self, dx: float, dy: float) -> Face:
        """Return the same face `dx`, `dy` pixels further."""
        points = None if self.points is None else self.points + np.array([dx, dy], np.float32)
        return Face(self.x + dx, self.y + dy, self.width, self.height, self.score, points)


class FaceDetector(Protocol):
    """Finds the faces of an image."""

    name: str

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """Return the faces of `image`, (H, W, 3) BGR or (H, W) gray, in its pixels, largest first."""


class HaarDetector:
    """OpenCV's Viola-Jones cascade for frontal faces, `alt2`: no points, frontal faces only."""

    name = "haar-alt2"

    def __init__(self) -> None:
        path = Path(cv2.__file__).parent / "data" / HAAR_FILE
        self._cascade = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            raise ModelError(f"{path} cannot be read", fix="Install opencv-python-headless 4 (5 has no cascades).")

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """See `FaceDetector`."""
        small, scale = shrink(image)
        boxes = self._cascade.detectMultiScale(
            to_gray(small), HAAR_SCALE, HAAR_NEIGHBOURS, minSize=(HAAR_MIN_PX, HAAR_MIN_PX)
        )
        faces = [Face(x / scale, y / scale, width / scale, height / scale, 1.0, None) for x, y, width, height in boxes]
        return sorted(faces, key=lambda face: face.area, reverse=True)


class YunetDetector:
    """YuNet (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"), with five points per face."""

    name = "yunet"

    def __init__(self, weights: Path) -> None:
        try:
            content = weights.read_bytes()
        except OSError as error:
            raise ModelError(
                f"{weights} cannot be read: {error.strerror}", fix="Run `mien-edge models fetch`."
            ) from error
        if hashlib.sha256(content).hexdigest() != YUNET_SHA256:
            raise ModelError(f"{weights} is not face_detection_yunet_2023mar.onnx", fix="Run `mien-edge models fetch`.")
        self._detector = cv2.FaceDetectorYN.create(
            str(weights), "", (DETECT_WIDTH, DETECT_WIDTH), YUNET_SCORE, YUNET_NMS, YUNET_TOP
        )

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """See `FaceDetector`."""
        small, scale = shrink(image)
        if small.ndim == 2:
            small = np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), np.uint8)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, rows = self._detector.detect(small)
        found = [] if rows is None else [_yunet_face(row / scale, float(row[14])) for row in rows]
        return sorted(found, key=lambda face: face.area, reverse=True)


def open_detector(weights: Path | None) -> FaceDetector:
    """Return YuNet if its weights are there, else Haar. Raises ModelError if a file is named but is not YuNet's."""
    return HaarDetector() if weights is None else YunetDetector(weights)


def shrink(image: NDArray[np.uint8], width: int = DETECT_WIDTH) -> tuple[NDArray[np.uint8], float]:
    """Return `image` scaled down to `width` if it is wider, and the scale (small / large)."""
    scale = width / image.shape[1]
    if scale >= 1.0:
        return image, 1.0
    size = (width, max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) gray from BGR or gray."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def _yunet_face(row: NDArray[np.float32], score: float) -> Face:
    x, y, width, height = (float(value) for value in row[:4])
    return Face(x, y, width, height, score, np.asarray(row[4:14], np.float32).reshape(5, 2))
