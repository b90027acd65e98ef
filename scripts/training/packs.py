"""Any pack of the format of docs/data.md, to be measured: inputs as the models take them, and the true classes."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.perception.features import speech_features
from training.errors import TrainingError
from training.speech_data import read_sound

SIDE = 48
LEAKS = ("leak_in_train", "near_dup_in_train")


@dataclass(frozen=True)
class Pack:
    """N examples to be measured on."""

    inputs: NDArray[np.float32]
    """(N, 48, 48) gray in [0, 1], or (N, 186, 64) log-mel in [-4, 4]."""
    truth: NDArray[np.int64]
    """(N,) index into the labels of the task."""
    leaked: NDArray[np.bool_] | None
    """(N,) True where the example, or nearly it, stands in the training set; None where the pack does not say."""


def read_face_pack(path: Path, *, labels: str, split: str | None) -> Pack:
    """Read an npz pack of faces. `labels` is `fer2013` or `ferplus`; the latter counts rows labelled 0 to 6 only.

    Raises TrainingError naming file and key if it is no such pack.
    """
    arrays = _arrays(path)
    key = {"fer2013": "labels", "ferplus": "ferplus_label"}[labels]
    images, truth = _array(arrays, "images", path), _array(arrays, key, path).astype(np.int64)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8 or len(images) != len(truth):
        raise TrainingError(
            f"{path}: images are {images.dtype} {images.shape}, not uint8 ({len(truth)}, {SIDE}, {SIDE})"
        )
    counted = (truth >= 0) & (truth < len(EMOTIONS))
    if split is not None:
        counted &= _array(arrays, "split", path) == split
    if not counted.any():
        raise TrainingError(f"{path}: no row has {labels} labels" + (f" in split {split!r}" if split else ""))
    known = [arrays[name] for name in LEAKS if name in arrays]
    leaked = np.logical_or.reduce(known)[counted].astype(bool) if known else None
    return Pack(images[counted].astype(np.float32) / np.float32(255.0), truth[counted], leaked)


def read_speech_pack(path: Path, *, split: str | None) -> Pack:
    """Read a zip pack of speech with the csv of the same name beside it.

    Raises TrainingError naming file, row or clip if something is missing or cannot be decoded.
    """
    table = path.with_suffix(".csv")
    rows = list(_rows(table))
    if split is not None:
        rows = [row for row in rows if row.get("split") == split]
    if not rows:
        raise TrainingError(f"{table}: no rows" + (f" of split {split!r}" if split else ""))
    inputs, truth = [], []
    try:
        with zipfile.ZipFile(path) as pack:
            names = {Path(name).stem: name for name in pack.namelist()}
            for row in tqdm(rows, desc="features", unit="clip", leave=False):
                truth.append(_emotion(row, table))
                inputs.append(_features(pack, names, row["clip_id"], path))
    except (OSError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    return Pack(np.stack(inputs), np.array(truth, np.int64), None)


def _features(pack: zipfile.ZipFile, names: dict[str, str], clip: str, path: Path) -> NDArray[np.float32]:
    if clip not in names:
        raise TrainingError(f"{path} holds no clip {clip!r}, which its csv names")
    try:
        return speech_features(read_sound(pack.read(names[clip])))
    except (soundfile.LibsndfileError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path}: clip {clip!r} cannot be decoded: {error}") from error


def _emotion(row: dict[str, str], table: Path) -> int:
    if row["emotion"] not in SPEECH_EMOTIONS:
        known = ", ".join(SPEECH_EMOTIONS)
        raise TrainingError(f"{table}: clip {row['clip_id']!r} is {row['emotion']!r}, which is none of {known}")
    return SPEECH_EMOTIONS.index(row["emotion"])


def _rows(table: Path) -> Iterator[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            missing = {"clip_id", "emotion"} - set(reader.fieldnames or ())
            if missing:
                raise TrainingError(f"{table} has no column {' nor '.join(sorted(missing))}")
            yield from reader
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{table}, the table of the pack, cannot be read: {error}") from error


def _arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path) as pack:
            return dict(pack)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} is no npz pack: {error}") from error


def _array(arrays: dict[str, NDArray[np.generic]], key: str, path: Path) -> NDArray[np.generic]:
    if key not in arrays:
        raise TrainingError(f"{path} has no {key!r}; it has {', '.join(sorted(arrays))}")
    return arrays[key]
