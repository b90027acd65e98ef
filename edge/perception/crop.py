"""From a detected face to the 48x48 gray crop that the face models eat, and how good that crop is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.perception.detect import Face

CROP = 48

EYES_AT = (0.5, 0.39)
"""Where the middle between the eyes lies in a crop, as shares of its side. This and the two distances are the medians
over 685 FER2013 PublicTest faces in which YuNet finds the points."""
EYE_DISTANCE = 0.38
EYE_TO_MOUTH = 0.375

HAAR_MARGIN = 1.03
"""A Haar box covers 0.97 of the side of such a crop (580 faces of the same split)."""

GOOD_SIDE_PX = 48.0
GOOD_SHARPNESS = 60.0
GOOD_CONTRAST = 30.0


def crop_face(gray: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """Return the (48, 48) crop of `face` from the (H, W) gray image, eyes level where the face has points.

    What lies outside the image is filled with its edge.
    """
    centre, side, angle = _box_geometry(face) if face.points is None else _point_geometry(face.points)
    gray, centre, side = _bring_near(gray, centre, side)
    scale = CROP / side
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    middle = CROP / 2.0 - 0.5
    matrix = np.array(
        [
            [cos, sin, middle - cos * centre[0] - sin * centre[1]],
            [-sin, cos, middle + sin * centre[0] - cos * centre[1]],
        ]
    )
    crop = cv2.warpAffine(gray, matrix, (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def crop_quality(crop: NDArray[np.uint8], face: Face) -> float:
    """Return how much a crop can be trusted, in [0, 1]: size, sharpness, contrast and frontal pose, multiplied.

    Each factor is linear up to a level that is good enough; sharpness is the variance of the Laplacian (Pech-Pacheco
    et al. 2000). Without points the pose counts as frontal.
    """
    size = min(1.0, min(face.width, face.height) / GOOD_SIDE_PX)
    sharpness = min(1.0, float(cv2.Laplacian(crop, cv2.CV_32F).var()) / GOOD_SHARPNESS)
    contrast = min(1.0, float(crop.std()) / GOOD_CONTRAST)
    return size * sharpness * contrast * _frontal(face.points)


def _frontal(points: NDArray[np.float32] | None) -> float:
    """Return 1 where the nose is midway between the eyes, 0 where it lies over one of them."""
    if points is None:
        return 1.0
    right_eye, left_eye, nose = points[:3]
    axis = left_eye - right_eye
    length = float(axis @ axis)
    if length < 1.0:
        return 0.0
    share = float((nose - right_eye) @ axis) / length
    return float(np.clip(2.0 * min(share, 1.0 - share), 0.0, 1.0))


Geometry = tuple[tuple[float, float], float, float]


def _box_geometry(face: Face) -> Geometry:
    side = max(face.width, face.height) * HAAR_MARGIN
    return (face.x + face.width / 2.0, face.y + face.height / 2.0), side, 0.0


def _point_geometry(points: NDArray[np.float32]) -> Geometry:
    """Return centre, side and tilt (radians) of the square that brings the eyes to `EYES_AT`.

    The larger of two measures sets the side: seen from the side the eyes move together, but not eyes and mouth.
    """
    right_eye, left_eye = points[0], points[1]
    eyes = (right_eye + left_eye) / 2.0
    mouth = (points[3] + points[4]) / 2.0
    axis = left_eye - right_eye
    angle = float(np.arctan2(axis[1], axis[0]))
    side = max(float(np.hypot(*axis)) / EYE_DISTANCE, float(np.hypot(*(mouth - eyes))) / EYE_TO_MOUTH, 1.0)
    down = np.array([-np.sin(angle), np.cos(angle)])
    centre = eyes + down * side * (0.5 - EYES_AT[1])
    return (float(centre[0]), float(centre[1])), side, angle


def _bring_near(
    gray: NDArray[np.uint8], centre: tuple[float, float], side: float
) -> tuple[NDArray[np.uint8], tuple[float, float], float]:
    """Shrink by area first where the crop is much smaller than the face: bilinear sampling alone would alias."""
    factor = side / CROP
    if factor < 2.0:
        return gray, centre, side
    size = (max(1, round(gray.shape[1] / factor)), max(1, round(gray.shape[0] / factor)))
    small = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
    fx, fy = size[0] / gray.shape[1], size[1] / gray.shape[0]
    moved = ((centre[0] + 0.5) * fx - 0.5, (centre[1] + 0.5) * fy - 0.5)
    return small, moved, side * (fx + fy) / 2.0
