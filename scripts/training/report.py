"""Writing tables into docs/results.md, and the options that the pages of `scripts/evaluate` share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from training.errors import TrainingError
from training.models import ROOT

RESULTS = ROOT / "docs" / "results.md"

Table = Callable[[Sequence[str], Sequence[Sequence[str]]], str]
"""`markdown` or `plain`: a head and rows to a table."""


def parse(task: str, description: str, arguments: Sequence[str], *, clips: bool = False) -> argparse.Namespace:
    """Return the options; `data` is a folder that exists. Raises TrainingError if it does not.

    With `clips` there is also `yunet`, the detector for whoever plays them.
    """
    parser = argparse.ArgumentParser(
        prog=f"scripts/evaluate {task}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of face/, speech/, ... ($MIEN_DATA_DIR)")
    if clips:
        parser.add_argument("--yunet", type=Path, metavar="FILE", help="YuNet's weights for the clips; else as fetched")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    parser.add_argument("--docs", action="store_true", help="also write the tables into docs/results.md")
    options = parser.parse_args(arguments)
    options.data = options.data or Path(os.environ.get("MIEN_DATA_DIR") or ROOT.parent / "shared" / "data")
    if not options.data.is_dir():
        raise TrainingError(f"no data: {options.data} is no folder. Name it with --data or MIEN_DATA_DIR")
    if options.docs:
        check_docs(task)  # before minutes of measuring
    return options


def check_docs(task: str) -> None:
    """Raise TrainingError if docs/results.md has no place for what `task` measures."""
    put_between(RESULTS.read_text(encoding="utf-8"), task, "")


def write_docs(task: str, text: str) -> None:
    """Put `text` between the markers of `task` in docs/results.md."""
    RESULTS.write_text(put_between(RESULTS.read_text(encoding="utf-8"), task, text), encoding="utf-8")
    print(f"wrote {RESULTS}", file=sys.stderr)


def put_between(page: str, task: str, text: str) -> str:
    """Return `page` with `text` in place of what stands between the markers. Raises TrainingError without them."""
    begin, end = f"<!-- {task}: begin -->", f"<!-- {task}: end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise TrainingError(f"{RESULTS} has no lines `{begin}` and `{end}` to write between")
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plain(head: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1) -> str:
    """Return a table for a terminal; the first `names` columns are words and stand left, figures stand right."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *rows)
    )
