from __future__ import annotations

import json
import threading

import msgspec
import pytest
from golden import FACE, GOLDEN, IDS

from edge.clock import FakeClock, SystemClock
from edge.ledger import Ledger, Row
from edge.present import Tally, as_json, as_table_row, summary, table_head
from edge.protocol import Reading, Verdict
from edge.replay import Cost

KEYS = [
    *("clip", "start_s", "end_s", "faces", "face", "speech", "fused"),
    *("confidence", "gate", "verdict", "verdict_error", "final"),
]


def reading(number: int, gate: str = "requested") -> Reading:
    golden = GOLDEN["reading"]
    assert isinstance(golden, Reading)
    return msgspec.structs.replace(golden, id=IDS[number], gate=gate)


def verdict(number: int, **changes: object) -> Verdict:
    golden = GOLDEN["verdict"]
    assert isinstance(golden, Verdict)
    return msgspec.structs.replace(golden, reading_id=IDS[number], **changes)


def ledger() -> tuple[Ledger, list[Row]]:
    rows: list[Row] = []
    return Ledger(clock=SystemClock(), deadline_s=5.0, on_row=rows.append), rows


def test_rows_come_in_the_order_of_the_readings() -> None:
    book, rows = ledger()
    book.add("a", reading(1))
    book.add("a", reading(2, "sure"))
    book.add("b", reading(3))
    assert rows == []
    book.answer(verdict(3))
    assert rows == []
    book.answer(verdict(1))
    assert [row.reading.id for row in rows] == [IDS[1], IDS[2], IDS[3]]
    assert [row.clip for row in rows] == ["a", "a", "b"]


def test_a_refusal_leaves_the_reading_standing() -> None:
    book, rows = ledger()
    book.add("a", reading(1))
    book.answer(verdict(1, status="refused", reason="stale", fused=None))
    assert rows[0].error == "refused: stale"
    assert rows[0].final == reading(1).fused


def test_a_verdict_supersedes() -> None:
    book, rows = ledger()
    book.add("a", reading(1))
    book.answer(verdict(1, fused=FACE))
    assert rows[0].final == FACE
    assert rows[0].error is None


def test_late_and_second_answers_change_nothing() -> None:
    book, rows = ledger()
    book.add("a", reading(1))
    book.wait(0.0)
    assert rows[0].error is not None
    assert rows[0].error.startswith("late")
    book.answer(verdict(1))
    assert rows[0].verdict is None
    assert len(rows) == 1


def test_waiting_ends_as_soon_as_the_last_verdict_is_in() -> None:
    book, rows = ledger()
    book.add("a", reading(1))
    threading.Timer(0.05, book.answer, [verdict(1)]).start()
    started = SystemClock().monotonic()
    book.wait(30.0)
    assert SystemClock().monotonic() - started < 10.0
    assert rows[0].verdict is not None


def test_deadline_is_kept_by_the_clock() -> None:
    rows: list[Row] = []
    clock = FakeClock()
    book = Ledger(clock=clock, deadline_s=5.0, on_row=rows.append)
    book.add("a", reading(1))
    clock.advance(6.0)
    book.add("a", reading(2, "sure"))
    book.wait(0.0)
    assert rows[0].error == "late: no verdict within 5 s"


@pytest.mark.parametrize("gate", ["sure", "requested", "forbidden", "over-budget", "cloud-away"])
def test_json_has_every_key(gate: str) -> None:
    empty = msgspec.structs.replace(reading(1, gate), face=None, speech=None, fused=None)
    for each in (reading(1, gate), empty):
        line = json.loads(as_json(Row("clips/a.mp4", each, 0.0, settled=True)))
        assert list(line) == KEYS
        assert line["clip"] == "clips/a.mp4"
    assert line["confidence"] is None
    assert line["final"] is None


def test_json_distributions_are_whole() -> None:
    line = json.loads(as_json(Row("a", reading(1), 0.0, verdict=verdict(1))))
    assert len(line["speech"]["probs"]) == 8
    for key in ("face", "fused", "verdict", "final"):
        assert len(line[key]["probs"]) == 7
        assert line[key]["confidence"] == max(line[key]["probs"].values())
        assert line[key]["probs"][line[key]["emotion"]] == line[key]["confidence"]


def test_table_rows_fit_under_their_heads() -> None:
    head = table_head().splitlines()
    row = as_table_row(Row("a-very-long-name-of-a-clip-that-does-not-fit.mp4", reading(1), 0.0, verdict=verdict(1)))
    assert row.index("requested") == head[0].index("gate")
    assert "happy 0.66" in row


def test_summary_counts_what_the_cloud_changed() -> None:
    rows = [Row("a", reading(1), 0.0, verdict=verdict(1)), Row("a", reading(2, "sure"), 0.0)]
    tally = Tally()
    for row in rows:
        tally.add(row)
    text = summary(Cost(10.0, 0.8, 1.0, 140.0), tally)
    assert "2 readings, 1 unsure and sent to the cloud, 1 answered, 0 changed" in text
    assert "0.080 CPU-seconds per second of media" in text
    assert "140 MB" in text
