"""Join several packs of one kind: faces (npz) or speech (zip with its csv)."""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.errors import TrainingError
from training.faces import SIZE, VOTE_NAMES
from training.prepare.duplicates import identical_groups
from training.prepare.face_names import CLASSES
from training.prepare.output import Output, speech_writer, write_npz
from training.prepare.report import Report
from training.prepare.source import MAX_MEMBER_BYTES

Arrays = dict[str, NDArray[np.generic]]

SPLIT_OF_STEM = {"train": "train", "public": "val", "private": "test"}
"""FER2013's packs say in their names which split they are."""


@dataclass(frozen=True)
class SpeechPack:
    """A pack to be joined."""

    path: Path
    corpus: str
    """Name of rows that do not say themselves of which corpus they are."""
    rows: list[dict[str, str]]


def mix(packs: Sequence[Path], output: Output, name: str, report: Report) -> int:
    """Join `packs` into the file `name` of `output`; return how many examples. Raises TrainingError."""
    kinds = {path.suffix.lower() for path in (*packs, Path(name))}
    if kinds == {".npz"}:
        return _mix_faces(packs, output, name, report)
    if kinds == {".zip"}:
        return _mix_speech(packs, output, Path(name).stem, report)
    raise TrainingError(
        f"packs and --out must all be .npz (faces) or all .zip (speech), not {', '.join(sorted(kinds))}"
    )


def _mix_faces(packs: Sequence[Path], output: Output, name: str, report: Report) -> int:
    """Join row by row; what a pack does not know is -1, 0, False or empty. Identical images are looked for anew."""
    parts = [_completed(_face_pack(path), path) for path in packs]
    given = set[str]().union(*(part.given for part in parts))
    joined: Arrays = {
        key: np.concatenate([part.arrays[key] for part in parts])
        for key in parts[0].arrays
        if key in given | {"corpus", "split", "labels", "ferplus_label"}
    }
    images = np.asarray(joined["images"], np.uint8)
    joined["dup_group"] = identical_groups(images)
    joined["class_names"] = np.array(CLASSES)
    if "ferplus_votes" in joined:
        joined["ferplus_vote_names"] = np.array(VOTE_NAMES)
    shared = np.count_nonzero(np.asarray(joined["dup_group"], np.int64) >= 0)
    if shared:
        report.note(f"{shared} images are identical to others of the mix: they share a dup_group")
    write_npz(output.partial(name), joined)
    return len(images)


@dataclass(frozen=True)
class _Completed:
    arrays: Arrays
    given: set[str]
    """Keys that the pack itself had."""


def _completed(pack: Arrays, path: Path) -> _Completed:
    """Return all row-wise keys that a mix can have, filled where the pack lacks them."""
    count = len(pack["images"])
    split = next((split for word, split in SPLIT_OF_STEM.items() if path.stem.endswith(word)), "train")
    filled: Arrays = {
        "images": pack["images"],
        "corpus": np.full(count, re.sub(r"_(train|public|private)$", "", path.stem)),
        "split": np.full(count, split),
        "labels": np.full(count, -1, np.int8),
        "ferplus_label": np.full(count, -1, np.int8),
        "ferplus_votes": np.zeros((count, len(VOTE_NAMES)), np.uint8),
        "csv_row": np.full(count, -1, np.int32),
        "leak_in_train": np.zeros(count, bool),
        "near_dup_in_train": np.zeros(count, bool),
        "source": np.full(count, ""),
        "subject": np.full(count, ""),
    }
    given = pack.keys() & filled.keys()
    for key in given:
        if pack[key].shape[:1] != (count,) or pack[key].dtype.kind != filled[key].dtype.kind:
            raise TrainingError(f"{path}: {key!r} is {pack[key].dtype} {pack[key].shape}, for {count} images")
        filled[key] = pack[key]
    if filled["ferplus_votes"].shape != (count, len(VOTE_NAMES)):
        raise TrainingError(f"{path}: 'ferplus_votes' is not ({count}, {len(VOTE_NAMES)})")
    return _Completed(filled, set(given))


def _face_pack(path: Path) -> Arrays:
    try:
        with np.load(path) as stored:
            arrays = dict(stored)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(f"{path} is no npz pack: {error}") from error
    images = arrays.get("images")
    if images is None or images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE):
        raise TrainingError(f"{path} is no pack of faces: it has no images of uint8 (N, {SIZE}, {SIZE})")
    return arrays


def _mix_speech(packs: Sequence[Path], output: Output, name: str, report: Report) -> int:
    parts = [_speech_pack(path) for path in packs]
    columns = list(dict.fromkeys([*(key for part in parts for key in part.rows[0]), "corpus"]))
    taken: set[str] = set()
    with speech_writer(output, name, columns) as writer:
        for part in parts:
            _copy(part, writer.add, _prefix(part, taken, report), taken)
        return len(writer.rows)


def _prefix(part: SpeechPack, taken: set[str], report: Report) -> str:
    """Return what goes before the pack's clip ids, so that none is taken already. Raises TrainingError."""
    ids = {row["clip_id"] for row in part.rows}
    if not ids & taken:
        return ""
    prefix = f"{part.path.stem}_"
    if {prefix + clip for clip in ids} & taken:
        clip = min(ids & taken)
        raise TrainingError(f"{part.path}: clip {clip!r} stands in an earlier pack, too; is it the same pack twice?")
    report.note(f"{part.path}: {len(ids & taken)} clip ids were taken; all of its ids now begin with {prefix}")
    return prefix


def _copy(part: SpeechPack, add: Callable[[str, bytes, Mapping[str, str]], None], prefix: str, taken: set[str]) -> None:
    """Give every clip, its file name and row to `add`, and its id to `taken`. Raises TrainingError."""
    try:
        with zipfile.ZipFile(part.path) as pack:
            names = {Path(member).stem: member for member in pack.namelist()}
            for row in tqdm(part.rows, desc=f"copying {part.path.name}", unit="clip", mininterval=1.0, leave=False):
                clip = row["clip_id"]
                if clip not in names or pack.getinfo(names[clip]).file_size > MAX_MEMBER_BYTES:
                    raise TrainingError(f"{part.path} holds no clip {clip!r} of a sensible size, which its csv names")
                flags = re.sub(r"\bdup_of:", f"dup_of:{prefix}", row.get("flags") or "")
                changed = row | {"clip_id": prefix + clip, "corpus": row.get("corpus") or part.corpus}
                add(prefix + Path(names[clip]).name, pack.read(names[clip]), changed | {"flags": flags})
                taken.add(prefix + clip)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise TrainingError(f"{part.path} cannot be read: {error}") from error


def _speech_pack(path: Path) -> SpeechPack:
    table = path.with_suffix(".csv")
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{table}, the table of the pack, cannot be read: {error}") from error
    if not rows or "clip_id" not in rows[0] or any(None in row for row in rows):
        raise TrainingError(f"{table} is no table of a pack: it has no rows, no column clip_id, or rows too long")
    ids = [row["clip_id"] for row in rows]
    twice = next((clip for clip in ids if not clip or ids.count(clip) > 1), None) if len(set(ids)) < len(ids) else None
    if twice is not None:
        raise TrainingError(f"{table}: clip {twice!r} stands twice")
    return SpeechPack(path, path.stem, rows)
