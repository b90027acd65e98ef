"""Pictures of faces, a folder per class or named by class, to an npz of 48x48 gray images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.emotions import EMOTIONS
from edge.perception.crop import CROP, crop_face
from edge.perception.detect import FaceDetector, open_detector
from training.errors import TrainingError
from training.prepare.duplicates import identical_groups
from training.prepare.face_names import CLASSES, GRAMMARS, FaceGrammar, UnknownClass
from training.prepare.output import Output, write_npz
from training.prepare.report import Report
from training.prepare.source import Source, Unreadable, open_source, with_ending

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".webp")
ALREADY_CROPPED_PX = 64
"""A picture of this longer side or less is a face already (CK+48 has 48); larger ones go through the detector."""


class NoFace(Exception):
    """The detector finds no face."""


@dataclass(frozen=True, kw_only=True)
class FaceJob:
    """What to pack, and how."""

    corpus: str
    source: Path
    name: str
    """Of the pack, without ending."""
    classes: dict[str, str]
    """The user's names of classes, see `own_classes`."""
    cropped: bool = False
    """All pictures are faces already, whatever their size: only resized."""
    yunet: Path | None = None
    """YuNet's weights; Haar without."""


@dataclass(frozen=True)
class Picture:
    """One picture of the release that says what it shows."""

    file: str
    emotion: str
    """One of CLASSES."""
    subject: str


def prepare_faces(job: FaceJob, output: Output, report: Report) -> int:
    """Pack the pictures of a release; return how many were packed. Raises TrainingError if none can be."""
    grammar, source = GRAMMARS[job.corpus], open_source(job.source)
    try:
        pictures = named(grammar, source, job.classes, report)
        images, kept = _images(job, source, pictures, report)
    finally:
        source.close()
    if not kept:
        raise TrainingError(f"{job.source}: none of {len(pictures)} pictures can be used ({report.why_nothing()})")
    write_npz(output.partial(f"{job.name}.npz"), pack_arrays(np.stack(images), kept))
    _say_counts(grammar, Counter(picture.emotion for picture in pictures), report)
    return len(kept)


def named(grammar: FaceGrammar, source: Source, own: dict[str, str], report: Report) -> list[Picture]:
    """Return the pictures whose class is known; report the others. Raises TrainingError if there are none."""
    pictures, wrong, compound = [], Report(), 0
    files = with_ending(source, *ENDINGS)
    for file in files:
        try:
            found = grammar.parse(file, own)
        except UnknownClass as error:
            wrong.add(file, "unknown-emotion", str(error))
            continue
        if found is None:
            compound += 1
        else:
            pictures.append(Picture(file, *found))
    if not pictures:
        first = (
            f"{files[0]}: {wrong.problems[0].detail}" if wrong.problems else "it holds no picture of a single emotion"
        )
        raise TrainingError(f"{source.path} is no release of {grammar.title}: {first}")
    for name, trouble in source.troubles:
        report.add(name, "unreadable", trouble)
    report.problems += wrong.problems
    if compound:
        report.note(f"{compound} pictures of compound expressions (happily surprised, ...) were left out")
    contempt = sum(picture.emotion not in EMOTIONS for picture in pictures)
    if contempt:
        report.note(f"{contempt} pictures of contempt have label -1, and 7 in ferplus_label: nothing trains on them")
    return pictures


def read_picture(content: bytes) -> NDArray[np.uint8]:
    """Return (H, W) gray. Raises Unreadable if it is truncated, or no picture."""
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise Unreadable(f"cannot be decoded: {error.err}") from error
    if image is None:
        raise Unreadable("is truncated, or no picture")
    return np.asarray(image, np.uint8)


def face_of(image: NDArray[np.uint8], detector: FaceDetector | None) -> NDArray[np.uint8]:
    """Return the (48, 48) face of a gray picture: resized if it is a crop already, else the largest face found.

    Raises NoFace.
    """
    if detector is None or max(image.shape) <= ALREADY_CROPPED_PX:
        return np.asarray(cv2.resize(image, (CROP, CROP), interpolation=cv2.INTER_AREA), np.uint8)
    faces = detector.detect(image)
    if not faces:
        raise NoFace(f"no face found in {image.shape[1]}x{image.shape[0]} pixels; --cropped if it is one already")
    return crop_face(image, faces[0])


def pack_arrays(images: NDArray[np.uint8], pictures: list[Picture]) -> dict[str, NDArray[np.generic]]:
    """Return the keys of the pack for `images`, (N, 48, 48), and what they show."""
    classes = np.array([CLASSES.index(picture.emotion) for picture in pictures], np.int8)
    return {
        "images": images,
        "labels": np.where(classes < len(EMOTIONS), classes, -1).astype(np.int8),
        "ferplus_label": classes,
        "class_names": np.array(CLASSES),
        "dup_group": identical_groups(images),
        "source": np.array([picture.file for picture in pictures]),
        "subject": np.array([picture.subject for picture in pictures]),
    }


def _images(
    job: FaceJob, source: Source, pictures: list[Picture], report: Report
) -> tuple[list[NDArray[np.uint8]], list[Picture]]:
    """Return the faces, and the pictures that they are from."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    detector = None if job.cropped else open_detector(job.yunet)
    images, kept = [], []
    for picture in tqdm(pictures, desc=f"packing {job.name}", unit="picture", mininterval=1.0, leave=False):
        try:
            images.append(face_of(read_picture(source.read(picture.file)), detector))
            kept.append(picture)
        except Unreadable as error:
            report.add(picture.file, "unreadable", str(error))
        except NoFace as error:
            report.add(picture.file, "no-face", str(error))
    return images, kept


def _say_counts(grammar: FaceGrammar, there: Counter[str], report: Report) -> None:
    """Report classes that have fewer pictures than the official release; more are only noted."""
    for emotion, count in grammar.counts.items():
        if there[emotion] < count:
            lacking = f"{there[emotion]} of {count} pictures are there; {count - there[emotion]} are missing"
            report.add(f"{grammar.title}, {emotion}", "missing", lacking)
        elif there[emotion] > count:
            report.note(f"{emotion}: {there[emotion]} pictures, and the official release has {count}")
    total = sum(grammar.counts.values())
    if total and all(there[emotion] == count for emotion, count in grammar.counts.items()):
        report.note(f"all {total} pictures of the official release are there")
    extra = {emotion: count for emotion, count in there.items() if grammar.counts and emotion not in grammar.counts}
    for emotion, count in extra.items():
        report.note(f"{emotion}: {count} pictures, and the official release has none")
    if not grammar.counts:
        report.note(", ".join(f"{there[emotion]} {emotion}" for emotion in CLASSES if there[emotion]))
