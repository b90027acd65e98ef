"""Faces, changed as cameras, light, hands and detectors change them, and how a model does on them.

Changes take and return images (N, 48, 48) uint8; a level of 0 (a gain of 1, a side of 48) changes nothing. What is
random comes from the generator alone and, but for shot noise, does not depend on the level: a condition's levels meet
the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from edge.perception.crop import crop_face
from edge.perception.detect import FaceDetector
from training.models import Recognise
from training.packs import SIDE, Pack
from training.robustness import SEED, UNCHANGED, RobustnessFigures, figures

Images = NDArray[np.uint8]

EYES = (slice(12, 26), slice(3, 45))
"""Rows and columns: eyes lie 0.39 of the side down and 0.38 apart (edge/perception/crop.py)."""
MOUTH = (slice(31, 45), slice(9, 39))
"""Their middle lies 0.375 of the side under the eyes', at row 36.7."""
COVER = 128

FULL_WELL = 500.0
"""Electrons of a white pixel at gain 1, a small sensor indoors: what shot noise is counted in."""
READ_NOISE = 4.0
"""Electrons, root mean square."""

FRAME = (240, 320)
MARGIN = SIDE // 8
"""Pixels of mirrored border around a 48 px face before it is put into a frame."""


@dataclass(frozen=True)
class Condition:
    """A change at its levels; levels None: it has none."""

    name: str
    unit: str
    levels: tuple[float, ...] | tuple[None]
    change: Callable[[Images, float, Generator], Images]


def robustness_figures(
    recognise: Recognise, pack: Pack, detectors: Sequence[FaceDetector] = (), *, seed: int = SEED
) -> list[RobustnessFigures]:
    """Measure `recognise` on the faces of `pack`, first unchanged, then at every level of every condition.

    The detectors, if any, search the faces in frames: `detector` rows tell how many each found.
    """
    images = np.rint(pack.inputs * 255).astype(np.uint8)
    before = recognise(pack.inputs)
    rows = [figures(UNCHANGED, None, "", before, pack.truth, before)]
    steps = [(condition, level) for condition in CONDITIONS for level in condition.levels]
    for condition, level in tqdm(steps, desc="conditions", unit="condition", leave=False):
        changed = condition.change(images, level or 0.0, np.random.default_rng(seed))
        rows.append(figures(condition.name, level, condition.unit, recognise(_inputs(changed)), pack.truth, before))
    for detector in detectors:
        for side in DETECTOR_SIDES:
            found, crops = through_detector(images, side, detector, np.random.default_rng(seed))
            after = recognise(_inputs(crops)) if len(crops) else before[:0]
            rows.append(figures(f"detector {detector.name}", side, "px", after, pack.truth, before, found=found))
    return rows


def blur(images: Images, sigma: float, _rng: Generator) -> Images:
    """Blur by a Gaussian of `sigma` pixels."""
    if sigma == 0:
        return images
    return _each(images, lambda image: cv2.GaussianBlur(image, (0, 0), sigma))


def coarsen(images: Images, side: float, _rng: Generator) -> Images:
    """Shrink to `side` pixels by area and enlarge again, as a face far away is."""
    if side == SIDE:
        return images
    small = (round(side), round(side))
    return _each(images, lambda image: cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (SIDE, SIDE)))


def darken(images: Images, gain: float, rng: Generator) -> Images:
    """Let in `gain` of the light: darker, with the shot and read noise of a sensor, without gain control."""
    if gain == 1:
        return images
    electrons = rng.poisson(images / 255.0 * FULL_WELL * gain) + rng.normal(0.0, READ_NOISE, images.shape)
    return _saturated(electrons / FULL_WELL * 255.0)


def add_noise(images: Images, sigma: float, rng: Generator) -> Images:
    """Add Gaussian noise of deviation `sigma`, of 255."""
    return _saturated(images + sigma * rng.standard_normal(images.shape, np.float32))


def cover_eyes(images: Images, _level: float, _rng: Generator) -> Images:
    """Put a gray band over the eyes: dark glasses."""
    return _covered(images, EYES)


def cover_mouth(images: Images, _level: float, _rng: Generator) -> Images:
    """Put a gray patch over the mouth: a hand, a mask."""
    return _covered(images, MOUTH)


def cover_somewhere(images: Images, percent: float, rng: Generator) -> Images:
    """Put a gray rectangle of `percent` of the area at a random place, its shape between 1:2 and 2:1."""
    changed = images.copy()
    for image, shape, (down, across) in zip(
        changed, np.exp2(rng.uniform(-0.5, 0.5, len(images))), rng.random((len(images), 2)), strict=True
    ):
        height, width = (min(SIDE, round(SIDE * np.sqrt(percent / 100) * factor)) for factor in (shape, 1 / shape))
        top, left = round(down * (SIDE - height)), round(across * (SIDE - width))
        image[top : top + height, left : left + width] = COVER
    return changed


def rotate(images: Images, degrees: float, rng: Generator) -> Images:
    """Turn by `degrees`, half of the faces to either side; what comes in is mirrored."""
    signs = rng.permutation(np.resize([-1.0, 1.0], len(images)))
    return np.stack([_warped(image, sign * degrees) for image, sign in zip(images, signs, strict=True)])


def jitter(images: Images, percent: float, rng: Generator, *, tilt_degrees: float = 0.0) -> Images:
    """Crop as from a box off by up to `percent` of its side each way, and in size, tilted by up to `tilt_degrees`."""
    off = rng.uniform(-1.0, 1.0, (len(images), 4))
    return np.stack(
        [
            _warped(image, tilt * tilt_degrees, 1 + size * percent / 100, (x * percent / 100, y * percent / 100))
            for image, (x, y, size, tilt) in zip(images, off, strict=True)
        ]
    )


def _tilted_jitter(images: Images, percent: float, rng: Generator) -> Images:
    return jitter(images, percent, rng, tilt_degrees=5.0)


CONDITIONS = (
    Condition("blur", "px sigma", (0.5, 1.0, 2.0), blur),
    Condition("low resolution", "px", (32, 24, 16), coarsen),
    Condition("low light", "gain", (0.5, 0.25, 0.12), darken),
    Condition("noise", "of 255", (5, 10, 20), add_noise),
    Condition("eyes covered", "", (None,), cover_eyes),
    Condition("mouth covered", "", (None,), cover_mouth),
    Condition("rectangle covered", "%", (20, 40), cover_somewhere),
    Condition("rotation", "degrees", (5, 10, 20), rotate),
    Condition("box off, tilt 5 degrees", "%", (5, 10, 15), _tilted_jitter),
)
DETECTOR_SIDES = (48, 96, 144)
"""Pixels of the face in the frame."""


def through_detector(
    images: Images, side: float, detector: FaceDetector, rng: Generator
) -> tuple[NDArray[np.bool_], Images]:
    """Put each face, `side` pixels large, into a noisy gray frame, find it and crop it as the device does.

    Returns which were found, (N,), and the crops of these, (n, 48, 48). The largest face counts, as on the device;
    it is found if its middle lies in the middle half of where the face was put.
    """
    found, crops = np.zeros(len(images), bool), []
    for index, image in enumerate(tqdm(images, desc=detector.name, unit="face", leave=False)):
        frame = in_frame(image, side, rng)
        for face in detector.detect(frame)[:1]:
            off = (face.x + face.width / 2 - FRAME[1] / 2, face.y + face.height / 2 - FRAME[0] / 2)
            if max(abs(off[0]), abs(off[1])) < side / 4:
                found[index] = True
                crops.append(crop_face(frame, face))
    return found, np.stack(crops) if crops else images[:0]


def in_frame(image: Images, side: float, rng: Generator) -> Images:
    """Return a noisy gray frame, (240, 320), with the (48, 48) face in its middle, enlarged to `side` pixels.

    A tight crop has no surroundings; an eighth of the face, mirrored, stands in for them.
    """
    padded = cv2.copyMakeBorder(image, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REFLECT_101)
    size = round(side * len(padded) / SIDE)
    frame = _saturated(rng.normal(128.0, 5.0, FRAME))
    top, left = (FRAME[0] - size) // 2, (FRAME[1] - size) // 2
    frame[top : top + size, left : left + size] = cv2.resize(padded, (size, size), interpolation=cv2.INTER_CUBIC)
    return frame


def _warped(image: Images, degrees: float, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> Images:
    """Return what a box `scale` times as large, moved by `shift` of its side and turned, would cut out."""
    middle = SIDE / 2 - 0.5
    matrix = cv2.getRotationMatrix2D((middle, middle), degrees, 1 / scale)
    matrix[:, 2] -= matrix[:, :2] @ np.array(shift) * SIDE
    warped = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8)


def _covered(images: Images, place: tuple[slice, slice]) -> Images:
    changed = images.copy()
    changed[:, *place] = COVER
    return changed


def _each(images: Images, change: Callable[[Images], object]) -> Images:
    return np.stack([np.asarray(change(image), np.uint8) for image in images])


def _saturated(values: NDArray[np.floating]) -> Images:
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)


def _inputs(images: Images) -> NDArray[np.float32]:
    return images.astype(np.float32) / np.float32(255.0)
