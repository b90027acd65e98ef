"""What was wrong with a release, file by file, and how it is told."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

FOLD_MISSING = 6
"""From so many missing files of one group on, standard error names the group only; the csv names every file."""


class BadRow(Exception):
    """A row of a table is not as it should be; the message fits after its place and a colon."""


@dataclass(frozen=True)
class Problem:
    """One file, or one row of a table, that is not in the pack or not as it should be."""

    file: str
    """Its path within the release; a row as `table.csv:ROW`, where row 1 is the heading."""
    kind: str
    """`missing`, `misnamed`, `unreadable`, `duplicate`, `unknown-emotion`, `no-face`, `no-votes` or `bad-row`."""
    detail: str
    """What is wrong, in words."""
    group: str = ""
    """Of a missing file: its actor or class."""


@dataclass
class Report:
    """Collects problems, which make the exit status 2, and notes, which do not."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, file: str, kind: str, detail: str, group: str = "") -> None:
        """Note that something is wrong with `file`."""
        self.problems.append(Problem(file, kind, detail, group))

    def missing(self, expected: Iterable[tuple[str, str]]) -> None:
        """Note every (file, group) of `expected` as missing."""
        for file, group in expected:
            self.add(file, "missing", "is not in the release", group)

    def note(self, text: str) -> None:
        """Say something that is worth knowing but nothing to be mended."""
        self.notes.append(text)

    def lines(self) -> list[str]:
        """Return the report for people: notes, then problems in the order of the files, then how many of each kind."""
        shown = [f"note: {note}" for note in self.notes]
        sizes = Counter(problem.group for problem in self.problems if problem.kind == "missing")
        told: set[str] = set()
        for problem in self._sorted():
            folded = problem.kind == "missing" and sizes[problem.group] >= FOLD_MISSING and bool(problem.group)
            if not folded:
                shown.append(f"{printable(problem.file)}: {problem.detail}")
            elif problem.group not in told:
                told.add(problem.group)
                shown.append(
                    f"{printable(problem.group)}: {sizes[problem.group]} files missing, the first is "
                    f"{printable(problem.file)}"
                )
        return shown

    def summary(self) -> str:
        """Return how many problems there are of each kind, `3 missing, 1 unreadable`."""
        counts = Counter(problem.kind for problem in self.problems)
        return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))

    def why_nothing(self) -> str:
        """Return the summary and the first problem, for the one line that says why there is no pack."""
        if not self.problems:
            return "nothing in it can be used"
        first = self._sorted()[0]
        return f"{self.summary()}; the first: {printable(first.file)} {first.detail}"

    def table(self) -> bytes:
        """Return the problems as a csv: file, kind, detail, group."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "kind", "detail", "group"])
        writer.writerows([printable(p.file), p.kind, p.detail, printable(p.group)] for p in self._sorted())
        return text.getvalue().encode()

    def _sorted(self) -> list[Problem]:
        return sorted(self.problems, key=lambda problem: (_natural(problem.file), problem.kind))


def printable(name: str) -> str:
    """Return `name` with control characters and broken encodings escaped: an archive may name its members anything."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode() for each in name
    )


def say(line: str) -> None:
    """Print one line to standard error."""
    print(line, file=sys.stderr)


def _natural(name: str) -> tuple[str, int, str]:
    """Sort `fer2013.csv:9` before `fer2013.csv:10`."""
    head, colon, tail = name.rpartition(":")
    return (head, int(tail), "") if colon and tail.isdecimal() else (name, 0, "")
