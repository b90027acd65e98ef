"""Packs of text: tab-separated rows of a sentence or two each with an emotion, plain or gzipped (docs/data.md)."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.emotions import EMOTIONS
from training.errors import TrainingError

PACK = Path("text", "goemotions.tsv.gz")
NEEDED = ("label7", "text")
MULTI = "MULTI:"
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Row:
    """One text with the emotions that people gave it."""

    text: str
    emotions: tuple[str, ...]
    """Of our seven: one, or several where the label is `MULTI:`."""
    raw: tuple[str, ...] = ()
    """The finer labels of the release; empty where the pack has none."""
    split: str = ""
    overlaps: str = ""
    """The later split in which the same words stand, as the pack says it."""

    @property
    def single(self) -> bool:
        """True where people gave one emotion."""
        return len(self.emotions) == 1


def read_texts(path: Path) -> list[Row]:
    """Read all rows of a pack. Raises TrainingError naming file and line if it is none."""
    lines = _lines(path)
    names = next(lines, "").split("\t")
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise TrainingError(f"{path} has no column {' nor '.join(missing)}; its first line is to name them, with tabs")
    rows = [_row(line, number, names, path) for number, line in enumerate(lines, start=2) if line]
    if not rows:
        raise TrainingError(f"{path} holds no rows")
    return rows


def of_split(rows: Sequence[Row], split: str | None, path: Path) -> list[Row]:
    """Return the rows of `split`, all for None. Raises TrainingError if there are none, naming the splits there are."""
    chosen = [row for row in rows if split in (None, row.split)]
    if not chosen:
        known = ", ".join(sorted({row.split for row in rows if row.split})) or "none"
        raise TrainingError(f"{path}: no rows of split {split!r}; its splits: {known}")
    return chosen


def words(text: str) -> str:
    """Return the words without case and punctuation, as overlaps are found."""
    return " ".join(re.findall("[a-z0-9]+", text.lower()))


def overlapping(chosen: Sequence[Row], rows: Sequence[Row]) -> NDArray[np.bool_]:
    """Return, (N,), which of the chosen rows stand in another split of the pack too, or are said to."""
    elsewhere: dict[str, set[str]] = {}
    for row in rows:
        elsewhere.setdefault(words(row.text), set()).add(row.split)
    return np.array([bool(row.overlaps) or len(elsewhere[words(row.text)]) > 1 for row in chosen])


def truth(rows: Sequence[Row]) -> NDArray[np.bool_]:
    """Return, (N, 7), which emotions each row was given."""
    return np.array([[emotion in row.emotions for emotion in EMOTIONS] for row in rows])


def _lines(path: Path) -> Iterator[str]:
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content.startswith(_GZIP) else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}, a pack of text, cannot be read: {error}") from error
    # Not splitlines: a text may hold one of Unicode's other line ends.
    return (line.rstrip("\r") for line in text.split("\n"))


def _row(line: str, number: int, names: list[str], path: Path) -> Row:
    values = line.split("\t")
    if len(values) != len(names):
        raise TrainingError(f"{path}, line {number}: {len(values)} fields, not {len(names)}")
    fields = dict(zip(names, values, strict=True))
    label = fields["label7"]
    emotions = tuple(label.removeprefix(MULTI).split("+")) if label.startswith(MULTI) else (label,)
    strange = [emotion for emotion in emotions if emotion not in EMOTIONS]
    if strange:
        known = ", ".join(EMOTIONS)
        raise TrainingError(f"{path}, line {number}: label {strange[0]!r} is none of {known}")
    raw = tuple(fields.get("raw_label", "").split(",")) if fields.get("raw_label") else ()
    return Row(fields["text"], emotions, raw, fields.get("split", ""), fields.get("overlaps", ""))
