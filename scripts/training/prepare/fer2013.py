"""FER2013 with the votes of FER+: two tables, joined row by row, to one npz for each of the three usages."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.errors import TrainingError
from training.faces import SIZE, VOTE_NAMES, VOTE_OF_EMOTION, vote_winner
from training.prepare.duplicates import identical_groups, nearly_stand_in, stand_in
from training.prepare.face_names import CLASSES
from training.prepare.output import Output, write_npz
from training.prepare.report import BadRow, Report
from training.prepare.source import Unreadable, find_table, open_source, read_text

NAMES = {"Training": "fer2013_train", "PublicTest": "fer2013_public", "PrivateTest": "fer2013_private"}
COUNTS = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
MAX_STRANGE = 0.01
"""With more rows than this whose usage differs, the two tables do not belong together."""


@dataclass
class Rows:
    """What was read, row by row; csv_row counts from 0 without the heading."""

    usages: list[str] = field(default_factory=list)
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    votes: list[list[int]] = field(default_factory=list)
    csv_rows: list[int] = field(default_factory=list)


def prepare_fer2013(path: Path, output: Output, report: Report) -> int:
    """Pack the release at `path`; return how many images were packed.

    Raises TrainingError if there is no fer2013.csv, or if not one of its rows can be used.
    """
    source = open_source(path)
    try:
        table = find_table(source, "fer2013.csv", "icml_face_data.csv")
        if table is None:
            raise TrainingError(f"{path} is no FER2013: it holds no fer2013.csv (nor icml_face_data.csv)")
        voted = find_table(source, "fer2013new.csv")
        if voted is None:
            about = "is not there: all FER+ votes are 0. It comes from github.com/microsoft/FERPlus"
            report.add("fer2013new.csv", "missing", about)
        try:
            pixels = csv.DictReader(read_text(source, table), skipinitialspace=True)
            votes = csv.DictReader(read_text(source, voted) if voted else [])
            rows = join(pixels, votes, (table, voted), report)
        except (Unreadable, csv.Error) as error:
            raise TrainingError(f"{path / table}: {error}") from error
    finally:
        source.close()
    if not rows.images:
        raise TrainingError(f"{path / table}: none of its rows can be used ({report.why_nothing()})")
    for name, arrays in packs(rows).items():
        write_npz(output.partial(f"{name}.npz"), arrays)
    for usage, count in COUNTS.items():
        there = rows.usages.count(usage)
        if there < count:
            report.add(f"{table}, {usage}", "missing", f"{there} of {count} images; {count - there} are missing")
        elif there > count:
            report.note(f"{usage}: {there} images, and the official release has {count}")
    return len(rows.images)


def join(
    pixels: csv.DictReader[str], votes: csv.DictReader[str], names: tuple[str, str | None], report: Report
) -> Rows:
    """Read both tables side by side: FER+ names no image, only its place. Bad rows are reported and left out.

    Raises TrainingError if a column is missing, or the tables do not belong together.
    """
    _need(pixels, {"emotion", "pixels", "Usage"}, names[0])
    if names[1]:
        _need(votes, {"Usage", *VOTE_NAMES}, names[1])
    rows, strange = Rows(), 0
    both = zip_longest(pixels, votes)
    for number, (row, vote) in enumerate(tqdm(both, desc="reading", unit="row", mininterval=1.0, leave=False)):
        if row is None:
            report.add(f"{names[1]}:{number + 2}", "bad-row", f"is past the last row of {names[0]}")
            strange += 1
            continue
        try:
            image, label = parse_row(row)
        except BadRow as error:
            report.add(f"{names[0]}:{number + 2}", "bad-row", str(error))
            continue
        counts = [0] * len(VOTE_NAMES)
        if names[1]:
            try:
                counts = parse_votes(vote, row["Usage"])
            except BadRow as error:
                report.add(f"{names[1]}:{number + 2}", "no-votes", f"{error}; all its votes are 0")
                strange += vote is not None and vote.get("Usage") != row["Usage"]
        _append(rows, row["Usage"], image, label, counts, number)
    if strange > 5 and strange > MAX_STRANGE * len(rows.images):
        raise TrainingError(
            f"{names[1]} does not belong to {names[0]}: {strange} rows are of another usage or too many"
        )
    return rows


def parse_row(row: dict[str, str]) -> tuple[NDArray[np.uint8], int]:
    """Return (48, 48) image and label of a row of fer2013.csv. Raises BadRow."""
    if row["Usage"] not in NAMES:
        raise BadRow(f"usage {row['Usage']!r} is none of {', '.join(NAMES)}")
    if row["emotion"] not in tuple("0123456"):
        raise BadRow(f"emotion {row['emotion']!r} is none of 0 to 6")
    try:
        values = np.array((row["pixels"] or "").split(), np.int64)
    except (ValueError, OverflowError) as error:
        raise BadRow("pixels are not whole numbers") from error
    if values.shape != (SIZE * SIZE,):
        raise BadRow(f"{values.size} pixels, not {SIZE * SIZE}")
    if values.min() < 0 or values.max() > 255:
        raise BadRow("pixels are not 0 to 255")
    return values.astype(np.uint8).reshape(SIZE, SIZE), int(row["emotion"])


def parse_votes(vote: dict[str, str] | None, usage: str) -> list[int]:
    """Return the ten counts of a row of fer2013new.csv. Raises BadRow."""
    if vote is None:
        raise BadRow("is not there: the table is too short")
    if vote["Usage"] != usage:
        raise BadRow(f"is of usage {vote['Usage']!r} and the image of {usage!r}")
    texts = [vote[name] or "" for name in VOTE_NAMES]
    if not all(text.isascii() and text.isdecimal() and len(text) < 4 and int(text) < 256 for text in texts):
        raise BadRow("its votes are not whole numbers")
    return [int(text) for text in texts]


def ferplus_label(votes: NDArray[np.integer]) -> NDArray[np.int8]:
    """Return (N,) the class with over half of the votes (N, 10) without single ones, 7 = contempt; else -1."""
    class_of_vote = {vote: emotion for emotion, vote in VOTE_OF_EMOTION.items()} | {"contempt": "contempt"}
    columns = [CLASSES.index(class_of_vote[name]) if name in class_of_vote else -1 for name in VOTE_NAMES]
    return np.array([*columns, -1], np.int8)[vote_winner(votes)]


def packs(rows: Rows) -> dict[str, dict[str, NDArray[np.generic]]]:
    """Return the keys of each pack by its name; usages without rows have none. Groups are counted over all usages."""
    images, usages = np.stack(rows.images), np.array(rows.usages)
    groups = identical_groups(images)
    labels, csv_rows = np.array(rows.labels, np.int8), np.array(rows.csv_rows, np.int32)
    votes = np.array(rows.votes, np.uint8)
    training = images[usages == "Training"]
    made: dict[str, dict[str, NDArray[np.generic]]] = {}
    for usage in _present(usages):
        which = usages == usage
        arrays: dict[str, NDArray[np.generic]] = {
            "images": images[which],
            "class_names": np.array(CLASSES),
            "ferplus_vote_names": np.array(VOTE_NAMES),
            "labels": labels[which],
            "csv_row": csv_rows[which],
            "ferplus_votes": votes[which],
            "ferplus_label": ferplus_label(votes[which]),
            "dup_group": groups[which],
        }
        if usage != "Training":
            leaked = stand_in(images[which], training)
            arrays["leak_in_train"] = leaked
            arrays["near_dup_in_train"] = leaked | nearly_stand_in(images[which], training)
        made[NAMES[usage]] = arrays
    return made


def _present(usages: NDArray[np.str_]) -> Iterator[str]:
    return (usage for usage in NAMES if (usages == usage).any())


def _append(rows: Rows, usage: str, image: NDArray[np.uint8], label: int, votes: list[int], number: int) -> None:
    rows.usages.append(usage)
    rows.images.append(image)
    rows.labels.append(label)
    rows.votes.append(votes)
    rows.csv_rows.append(number)


def _need(table: csv.DictReader[str], columns: set[str], name: str) -> None:
    table.fieldnames = [heading.strip() for heading in table.fieldnames or []]
    missing = columns - set(table.fieldnames)
    if missing:
        raise TrainingError(
            f"{name} has no column {' nor '.join(sorted(missing))}; it has {', '.join(table.fieldnames)}"
        )
