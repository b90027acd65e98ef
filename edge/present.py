"""Rows for people and for programs: the table and the JSON lines of `mien-edge replay` and scripts/demo."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.ledger import Row
from edge.protocol import Distribution
from edge.text import printable

if TYPE_CHECKING:
    from edge.replay import Cost  # decodes media, by PyAV: a device has neither

COLUMNS = (
    ("clip", 26),
    ("window", 12),
    ("faces", 5),
    ("expression", 15),
    ("vocal tone", 15),
    ("device says", 15),
    ("gate", 11),
    ("cloud says", 15),
    ("final", 15),
)


def row_printer(*, json_lines: bool, table: bool) -> Callable[[Row], None]:
    """Return what prints each row to stdout as it is settled: JSON lines, a table, or nothing."""
    if json_lines:
        return lambda row: print(as_json(row), flush=True)
    if table:
        print(table_head(), flush=True)
        return lambda row: print(as_table_row(row), flush=True)
    return lambda _: None


def as_json(row: Row) -> str:
    """Return one line of JSON; every key is always there."""
    reading = row.reading
    return json.dumps(
        {
            "clip": row.clip,
            "start_s": reading.start_s,
            "end_s": reading.end_s,
            "faces": reading.faces,
            "face": _plain(reading.face),
            "speech": _plain(reading.speech),
            "fused": _plain(reading.fused),
            "confidence": None if reading.fused is None else reading.fused.confidence,
            "gate": reading.gate,
            "verdict": None if row.verdict is None else _plain(row.verdict.fused),
            "verdict_error": row.error,
            "final": _plain(row.final),
        }
    )


def table_head() -> str:
    """Return the two lines above the table."""
    names = "  ".join(name.ljust(width) for name, width in COLUMNS)
    return names.rstrip() + "\n" + "  ".join("-" * width for _, width in COLUMNS)


def as_table_row(row: Row) -> str:
    """Return one line of the table."""
    reading = row.reading
    cells = (
        _shortened(printable(row.clip), COLUMNS[0][1]),
        f"{reading.start_s:.1f}-{reading.end_s:.1f} s",
        str(reading.faces),
        _word(reading.face),
        _word(reading.speech),
        _word(reading.fused),
        reading.gate,
        row.error or _word(row.verdict.fused if row.verdict else None),
        _word(row.final),
    )
    return "  ".join(cell.ljust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True)).rstrip()


@dataclass
class Tally:
    """Counts of the rows so far."""

    readings: int = 0
    asked: int = 0
    answered: int = 0
    changed: int = 0

    def add(self, row: Row) -> None:
        """Count one more row."""
        self.readings += 1
        self.asked += row.reading.gate == "requested"
        self.answered += row.verdict is not None
        self.changed += row.verdict is not None and _emotion(row.final) != _emotion(row.reading.fused)


def summary(cost: Cost, tally: Tally) -> str:
    """Return the lines under the table: what was asked, what it changed, what it cost."""
    readings = "1 reading" if tally.readings == 1 else f"{tally.readings} readings"
    return (
        f"{readings}, {tally.asked} unsure and sent to the cloud, {tally.answered} answered, "
        f"{tally.changed} changed by it\n"
        f"cost of the edge process: {cost.share:.3f} CPU-seconds per second of media "
        f"({cost.cpu_s:.2f} s for {cost.media_s:.1f} s; and {cost.start_cpu_s:.2f} s to start), "
        f"peak memory {cost.peak_mb:.0f} MB"
    )


def _plain(distribution: Distribution | None) -> dict[str, Any] | None:
    if distribution is None:
        return None
    return {
        "emotion": distribution.emotion,
        "confidence": distribution.confidence,
        "probs": dict(distribution.probs),
    }


def _emotion(distribution: Distribution | None) -> str | None:
    return None if distribution is None else distribution.emotion


def _word(distribution: Distribution | None) -> str:
    return "-" if distribution is None else f"{distribution.emotion} {distribution.confidence:.2f}"


def _shortened(name: str, width: int) -> str:
    return name if len(name) <= width else "..." + name[-(width - 3) :]
