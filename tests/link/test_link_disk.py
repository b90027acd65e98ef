from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from link_samples import Maker, make_rows

from edge.clock import FakeClock
from edge.errors import OutboxError
from edge.link.outbox import Outbox


def test_the_session_outlives_a_damaged_database(path: Path, clock: FakeClock) -> None:
    box = Outbox(path, clock=clock)
    assert box.next_session() == 1
    box.close()
    path.write_bytes(b"garbage" * 1000)
    box = Outbox(path, clock=clock)
    assert box.next_session() == 2
    box.close()


@pytest.mark.parametrize("damage", ["garbage", "middle", "truncated"])
def test_a_damaged_database_is_put_aside_and_a_new_one_begun(path: Path, clock: FakeClock, damage: str) -> None:
    rows = make_rows(["reading"] * 200, clock)
    box = Outbox(path, clock=clock)
    box.put(rows)
    box.close()
    good = path.read_bytes()
    bad = {
        "garbage": os.urandom(len(good)),
        "middle": good[:4096] + os.urandom(len(good) - 8192) + good[-4096:],
        "truncated": good[: len(good) // 2],
    }[damage]
    path.write_bytes(bad)
    box = Outbox(path, clock=clock)
    assert box.quarantined == 1
    assert box.persistent
    assert path.with_name(path.name + ".corrupt").read_bytes() == bad
    assert box.put(rows[:3]) == []
    assert box.oldest(100) == rows[:3]
    box.close()


def test_damage_while_in_use_is_survived(path: Path, clock: FakeClock) -> None:
    rows = make_rows(["reading"] * 300, clock)
    box = Outbox(path, clock=clock)
    box.put(rows)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))
    for _ in range(3):  # the first call may still be answered from the cache
        box.put(make_rows(["event"], clock, session=2))
        box.oldest(1000)
    kept = make_rows(["event"], clock, session=3)
    assert box.put(kept) == []
    assert box.quarantined == 1
    assert kept[0] in box.oldest(1000)
    box.close()


def test_a_full_disk_costs_the_oldest_readings_and_no_event(outbox: Outbox, clock: FakeClock) -> None:
    maker = Maker(clock)
    events = [maker.row("event") for _ in range(5)]
    readings = [maker.row("reading") for _ in range(600)]
    outbox.put(events + readings)
    # SQLite itself answers "database or disk is full" once it needs one page more than it may have.
    (pages,) = outbox._db.execute("PRAGMA page_count").fetchone()
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    late = []
    for _ in range(200):
        late.append(maker.row("event"))
        assert outbox.put(late[-1:]) == []
    assert outbox.dropped_by_kind["reading"] > 0
    assert outbox.dropped_by_kind["event"] == 0
    left = outbox.oldest(10_000)
    assert [row for row in left if row.precious] == events + late
    kept = [row for row in left if not row.precious]
    assert kept == readings[-len(kept) :]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_a_really_full_disk_costs_the_oldest_readings_and_no_event(small_disk: Path, clock: FakeClock) -> None:
    maker = Maker(clock)
    box = Outbox(small_disk / "outbox.sqlite", clock=clock)
    events = []
    for _ in range(450):
        events.append(maker.row("event"))
        assert box.put([*(maker.row("reading") for _ in range(20)), events[-1]]) == []
    assert box.dropped_by_kind["reading"] > 1000
    fill(small_disk / "somebody else's")
    for _ in range(30):
        events.append(maker.row("event"))
        assert box.put([maker.row("reading"), events[-1]]) == []
    assert [row for row in box.oldest(10_000) if row.precious] == events
    assert box.dropped_by_kind["event"] == 0
    box.close()


def test_a_disk_that_is_full_at_the_start_is_survived_in_memory(small_disk: Path, clock: FakeClock) -> None:
    fill(small_disk / "somebody else's")
    box = Outbox(small_disk / "outbox.sqlite", clock=clock)
    assert not box.persistent
    assert box.next_session() == int(clock.wall())
    rows = make_rows(["event", "reading"], clock)
    assert box.put(rows) == []
    assert box.oldest(10) == rows
    box.close()


def test_what_the_disk_does_not_take_is_handed_back(outbox: Outbox, clock: FakeClock) -> None:
    outbox._db.execute("PRAGMA max_page_count = 1")
    rows = make_rows(["event"] * 50, clock)
    assert outbox.put(rows) == rows
    assert outbox.rows == 0
    outbox._db.execute("PRAGMA max_page_count = 10000")
    assert outbox.put(rows) == []
    assert outbox.oldest(100) == rows


def test_a_folder_that_cannot_be_says_what_to_do(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match=r"Set outbox\.folder"):
        Outbox(tmp_path / "file" / "outbox.sqlite", clock=clock)


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from link_samples import Maker
from edge.clock import SystemClock
from edge.link.outbox import Outbox
clock = SystemClock()
outbox = Outbox(Path(sys.argv[1]), clock=clock)
maker = Maker(clock, session=outbox.next_session())
while True:
    rows = [maker.row("reading") for _ in range(3)]
    outbox.put(rows)
    print(" ".join(row.id for row in rows), flush=True)
    if len(outbox.oldest(40)) == 40:
        outbox.delete([row.id for row in outbox.oldest(20)])
"""


def test_sigkill_at_any_moment_corrupts_nothing_and_loses_no_commit(path: Path) -> None:
    tests = str(Path(__file__).parent)
    dice = random.Random(7)
    for start in range(1, 21):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER.format(tests=tests), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        reported = [child.stdout.readline().split() for _ in range(dice.randint(1, 25))]
        child.send_signal(signal.SIGKILL)
        reported += [line.split() for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        box = Outbox(path, clock=FakeClock())
        assert box.quarantined == 0
        assert box._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        left = {row.id for row in box.oldest(10_000)}
        # The child deletes its oldest: what it reported as stored and is gone must come before all that is left.
        gone = [row_id not in left for line in reported for row_id in line]
        assert gone == sorted(gone, reverse=True)
        assert not gone[-1]
        assert box.next_session() == 2 * start
        box.close()
