"""Any pack of the format of docs/data.md, to be measured: inputs as the models take them, and the true classes.

Speech is also to be had as sound (`read_clips`), so that it can be changed before its features are taken.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.perception.features import speech_features
from training.errors import TrainingError
from training.faces import own_group
from training.speech_data import read_sound
from training.splits import calibration_half

SIDE = 48
LEAKS = ("leak_in_train", "near_dup_in_train")
READ = frozenset({"images", "labels", "ferplus_label", "split", "dup_group", *LEAKS})
"""Keys of a pack of faces that matter here; whatever else stands in it is not even opened."""


@dataclass(frozen=True)
class Pack:
    """N examples to be measured on."""

    inputs: NDArray[np.float32]
    """(N, 48, 48) gray in [0, 1], or (N, 186, 64) log-mel in [-4, 4]."""
    truth: NDArray[np.int64]
    """(N,) index into the labels of the task."""
    leaked: NDArray[np.bool_] | None = None
    """(N,) True where the example, or nearly it, stands in the training set; None where the pack does not say."""
    groups: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Of faces, (N,): identical pictures share a number. Where the pack does not say, all differ."""
    calibration: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """Of faces, (N,): the half of the whole pack that a model trained here is calibrated on, if it is this pack."""


@dataclass(frozen=True)
class Clips:
    """N clips of a speech pack as sound."""

    sounds: list[NDArray[np.float32]]
    """(samples,) each, mono, 16 kHz, in [-1, 1]."""
    truth: NDArray[np.int64]
    """(N,) index into SPEECH_EMOTIONS."""
    columns: dict[str, list[str]] = field(default_factory=dict)
    """The rows of the csv, column by column, N values each."""

    def pack(self) -> Pack:
        """Return the clips as the models take them."""
        inputs = [speech_features(sound) for sound in tqdm(self.sounds, desc="features", unit="clip", leave=False)]
        return Pack(np.stack(inputs), self.truth)


def read_face_pack(path: Path, *, labels: str, split: str | None) -> Pack:
    """Read an npz pack of faces. `labels` is `fer2013` or `ferplus`; the latter counts rows labelled 0 to 6 only.

    Raises TrainingError naming file and key if it is no such pack.
    """
    arrays = _arrays(path)
    key = {"fer2013": "labels", "ferplus": "ferplus_label"}[labels]
    images = _array(arrays, "images", path)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
        raise TrainingError(f"{path}: images are {images.dtype} {images.shape}, not uint8 (N, {SIDE}, {SIDE})")
    truth = _column(arrays, key, path, "iu", len(images)).astype(np.int64)
    counted = (truth >= 0) & (truth < len(EMOTIONS))
    if split is not None:
        counted &= _column(arrays, "split", path, "U", len(images)) == split
    if not counted.any():
        raise TrainingError(f"{path}: no row has {labels} labels" + (f" in split {split!r}" if split else ""))
    known = [_column(arrays, name, path, "biu", len(images)) for name in LEAKS if name in arrays]
    leaked = np.logical_or.reduce(known)[counted].astype(bool) if known else None
    groups = np.full(len(images), -1)
    if "dup_group" in arrays:
        groups = _column(arrays, "dup_group", path, "iu", len(images)).astype(np.int64)
    groups = own_group(groups)
    return Pack(
        images[counted].astype(np.float32) / np.float32(255.0),
        truth[counted],
        leaked,
        groups[counted],
        calibration_half(groups)[counted],
    )


def read_speech_pack(path: Path, *, split: str | None) -> Pack:
    """Read a zip pack of speech as features. Raises TrainingError as `read_clips` does."""
    return read_clips(path, split=split).pack()


def read_clips(path: Path, *, split: str | None) -> Clips:
    """Read a zip pack of speech with the csv of the same name beside it.

    Raises TrainingError naming file, row or clip if something is missing or cannot be decoded.
    """
    table = path.with_suffix(".csv")
    rows = list(_rows(table))
    if split is not None:
        rows = [row for row in rows if row.get("split") == split]
    if not rows:
        raise TrainingError(f"{table}: no rows" + (f" of split {split!r}" if split else ""))
    truth = np.array([_emotion(row, table) for row in rows], np.int64)
    sounds = _sounds(path, [row["clip_id"] for row in rows])
    return Clips(sounds, truth, {name: [row[name] or "" for row in rows] for name in rows[0] if name})


def read_noises(folder: Path) -> list[NDArray[np.float32]]:
    """Return the background sounds, mono 16 kHz, of `folder`/noise.zip that noise.csv calls `noise`; none if absent.

    Raises TrainingError if one of the two files is there but cannot be read.
    """
    path, table = folder / "noise.zip", folder / "noise.csv"
    if not path.exists():
        return []
    rows = [row for row in _rows(table, needed={"file", "kind"}) if row["kind"] == "noise"]
    return _sounds(path, [Path(row["file"]).stem for row in rows])


def _sounds(path: Path, clips: list[str]) -> list[NDArray[np.float32]]:
    try:
        with zipfile.ZipFile(path) as pack:
            names = {Path(name).stem: name for name in pack.namelist()}
            progress = tqdm(clips, desc=f"reading {path.name}", unit="clip", leave=False)
            return [_sound(pack, names, clip, path) for clip in progress]
    except (OSError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error


def _sound(pack: zipfile.ZipFile, names: dict[str, str], clip: str, path: Path) -> NDArray[np.float32]:
    if clip not in names:
        raise TrainingError(f"{path} holds no clip {clip!r}, which its csv names")
    try:
        sound = read_sound(pack.read(names[clip]))
    except (RuntimeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        # libsndfile's own words, without the address of the buffer it was given
        why = error.error_string if isinstance(error, soundfile.LibsndfileError) else error
        raise TrainingError(f"{path}: clip {clip!r} cannot be decoded: {why}") from error
    if not len(sound) or not np.isfinite(sound).all():
        what = "samples that are no numbers" if len(sound) else "no samples"
        raise TrainingError(f"{path}: clip {clip!r} holds {what}")
    return sound


def _emotion(row: dict[str, str], table: Path) -> int:
    if row["emotion"] not in SPEECH_EMOTIONS:
        known = ", ".join(SPEECH_EMOTIONS)
        raise TrainingError(f"{table}: clip {row['clip_id']!r} is {row['emotion']!r}, which is none of {known}")
    return SPEECH_EMOTIONS.index(row["emotion"])


def _rows(table: Path, needed: AbstractSet[str] = frozenset({"clip_id", "emotion"})) -> Iterator[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            missing = needed - set(reader.fieldnames or ())
            if missing:
                raise TrainingError(f"{table} has no column {' nor '.join(sorted(missing))}")
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{table}, the table of the pack, cannot be read: {error}") from error


def _arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path) as pack:
            return {name: pack[name] for name in pack.files if name in READ}
    except (OSError, ValueError, TypeError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(f"{path} is no npz pack: {error}") from error


def _array(arrays: dict[str, NDArray[np.generic]], key: str, path: Path) -> NDArray[np.generic]:
    if key not in arrays:
        known = ", ".join(sorted(arrays)) or "keys that mean nothing here"
        raise TrainingError(f"{path} has no {key!r}, only {known}")
    return arrays[key]


def _column(
    arrays: dict[str, NDArray[np.generic]], key: str, path: Path, kinds: str, count: int
) -> NDArray[np.generic]:
    """Return the array of one value per image; `kinds` are the letters of numpy's dtypes that it may have."""
    column = _array(arrays, key, path)
    if column.shape != (count,) or column.dtype.kind not in kinds:
        raise TrainingError(f"{path}: {key!r} is {column.dtype} {column.shape}, for {count} images")
    return column
