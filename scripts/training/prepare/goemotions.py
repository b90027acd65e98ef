"""GoEmotions: three tables of comments with the numbers of 28 emotions, to one table with our seven."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.emotions import EMOTIONS
from training.errors import TrainingError
from training.prepare.output import Output, write_gzip
from training.prepare.report import BadRow, Report
from training.prepare.source import Source, Unreadable, find_table, open_source, read_text

COUNTS = {"train": 43410, "dev": 5426, "test": 5427}
COLUMNS = ("id", "split", "label7", "raw_label", "group", "overlaps", "text")

TO_SEVEN = {
    "angry": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "happy": (
        *("admiration", "amusement", "approval", "caring", "desire", "excitement"),
        *("gratitude", "joy", "love", "optimism", "pride", "relief"),
    ),
    "sad": ("disappointment", "embarrassment", "grief", "remorse", "sadness"),
    "surprise": ("confusion", "curiosity", "realization", "surprise"),
    "neutral": ("neutral",),
}
"""The Ekman grouping of the release (Demszky et al. 2020, arXiv:2005.00547, ekman_mapping.json)."""
SEVEN_OF = {raw: ours for ours, group in TO_SEVEN.items() for raw in group}
EMOTION_LIST = (*sorted(SEVEN_OF.keys() - {"neutral"}), "neutral")
"""Of the release's emotions.txt: alphabetical, neutral last. Numbers in the tables count from 0."""


@dataclass(frozen=True)
class Comment:
    """One row."""

    id: str
    split: str
    raw: tuple[str, ...]
    text: str

    @property
    def label7(self) -> str:
        """One of our seven, or `MULTI:` and several of them."""
        ours = sorted({SEVEN_OF[raw] for raw in self.raw}, key=EMOTIONS.index)
        return ours[0] if len(ours) == 1 else "MULTI:" + "+".join(ours)


def prepare_goemotions(path: Path, output: Output, report: Report) -> int:
    """Pack the release at `path`; return how many comments. Raises TrainingError if there are none."""
    source = open_source(path)
    try:
        names = emotion_list(source, report)
        comments = [comment for split in COUNTS for comment in _split(source, split, names, report)]
    finally:
        source.close()
    if not comments:
        raise TrainingError(
            f"{path} is no GoEmotions: it holds no train.tsv, dev.tsv or test.tsv with a row to be used"
        )
    write_gzip(output.partial("goemotions.tsv.gz"), table(comments).encode())
    return len(comments)


def table(comments: list[Comment]) -> str:
    """Return the pack's table: tab-separated, no quoting, a heading."""
    overlaps = overlapping(comments)
    rows = [
        (each.id, each.split, each.label7, ",".join(each.raw), "", overlap, each.text)
        for each, overlap in zip(comments, overlaps, strict=True)
    ]
    return "".join("\t".join(row) + "\n" for row in (COLUMNS, *rows))


def overlapping(comments: list[Comment]) -> list[str]:
    """Return, per comment, the later split in which the same words stand: `test`, else `dev`, else empty.

    Words are compared without case and punctuation. A training row that overlaps should be left out of training.
    """
    words = [" ".join(re.findall("[a-z0-9]+", each.text.lower())) for each in comments]
    known = {
        split: {text for text, each in zip(words, comments, strict=True) if each.split == split} for split in COUNTS
    }
    later = {"train": ("test", "dev"), "dev": ("test",), "test": ()}
    return [
        next((split for split in later[each.split] if text in known[split]), "")
        for text, each in zip(words, comments, strict=True)
    ]


def emotion_list(source: Source, report: Report) -> tuple[str, ...]:
    """Return the names of emotions.txt. The order is known, so its absence is only noted.

    Raises TrainingError if a name is none of GoEmotions'.
    """
    name = find_table(source, "emotions.txt")
    if name is None:
        report.note("there is no emotions.txt: the official order of the 28 emotions is taken")
        return EMOTION_LIST
    try:
        names = tuple(read_text(source, name).read().split())
    except Unreadable as error:
        report.add(name, "unreadable", f"{error}; the official order of the 28 emotions is taken")
        return EMOTION_LIST
    strange = [each for each in names if each not in SEVEN_OF]
    if strange:
        raise TrainingError(f"{source.path}: {name} names {strange[0]!r}, which is no emotion of GoEmotions")
    return names


def parse(line: str, split: str, names: tuple[str, ...]) -> Comment:
    """Read text, numbers and id, separated by tabs. Raises BadRow."""
    fields = line.split("\t")
    if len(fields) != 3:
        raise BadRow(f"{len(fields)} fields, not text, numbers and id")
    text, numbers, comment = fields
    if not text.strip() or not comment.strip():
        raise BadRow("text or id is empty")
    known = {str(number): name for number, name in enumerate(names)}
    strange = [number for number in numbers.split(",") if number not in known]
    if strange:
        raise BadRow(f"emotion {strange[0]!r} is none of 0 to {len(names) - 1}")
    return Comment(comment.strip(), split, tuple(known[number] for number in numbers.split(",")), text)


def _split(source: Source, split: str, names: tuple[str, ...], report: Report) -> Iterator[Comment]:
    name = find_table(source, f"{split}.tsv")
    if name is None:
        report.add(f"{split}.tsv", "missing", f"is not there: all {COUNTS[split]} comments are missing")
        return
    try:
        lines = read_text(source, name).read().replace("\r\n", "\n").split("\n")
    except Unreadable as error:
        report.add(name, "unreadable", str(error))
        return
    count, seen = 0, set()
    for number, line in enumerate(lines, start=1):
        if not line and number == len(lines):
            continue
        count += 1
        try:
            comment = parse(line, split, names)
        except BadRow as error:
            report.add(f"{name}:{number}", "bad-row", str(error))
            continue
        if comment.id in seen:
            report.add(f"{name}:{number}", "duplicate", f"id {comment.id!r} stood before")
            continue
        seen.add(comment.id)
        yield comment
    if count < COUNTS[split]:
        lacking = COUNTS[split] - count
        report.add(name, "missing", f"{count} of {COUNTS[split]} comments are there; {lacking} are missing")
    elif count > COUNTS[split]:
        report.note(f"{name}: {count} comments, and the official release has {COUNTS[split]}")
