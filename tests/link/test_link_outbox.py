from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from link_samples import Maker, make_rows

from edge.clock import FakeClock
from edge.link.outbox import Outbox
from edge.link.rows import Row
from edge.protocol import Reading, decode

KINDS = st.lists(st.sampled_from(["reading", "aggregate", "event"]), max_size=30)


def store(path: Path, clock: FakeClock, row: Row) -> None:
    box = Outbox(path, clock=clock)
    box.put([row])
    box.close()


@given(kinds=KINDS, order=st.randoms(use_true_random=False), batch=st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_whatever_the_order_of_storing_rows_come_out_as_they_were_made(
    kinds: list[str], order: random.Random, batch: int
) -> None:
    clock = FakeClock()
    rows = make_rows(kinds, clock) + make_rows(kinds, clock, session=2)
    shuffled = order.sample(rows, len(rows))
    box = Outbox(None, clock=clock)
    for start in range(0, len(rows), batch):
        assert box.put(shuffled[start : start + batch]) == []
    assert box.oldest(1000) == rows
    assert (box.rows, box.bytes) == (len(rows), sum(row.size for row in rows))
    box.close()


@given(kinds=KINDS, max_bytes=st.integers(0, 12_000))
@settings(max_examples=40, deadline=None)
def test_over_the_bound_the_oldest_readings_go_first_and_every_drop_is_counted(
    kinds: list[str], max_bytes: int
) -> None:
    clock = FakeClock()
    rows = make_rows(kinds, clock)
    box = Outbox(None, clock=clock, max_bytes=max_bytes)
    for row in rows:
        box.put([row])
    left = box.oldest(1000)
    for precious in (False, True):
        made = [row for row in rows if row.precious == precious]
        kept = [row for row in left if row.precious == precious]
        assert kept == made[len(made) - len(kept) :]
    assert box.bytes <= max_bytes
    assert box.dropped + len(left) == len(rows)
    box.close()


@given(kinds=KINDS)
@settings(max_examples=20, deadline=None)
def test_stored_twice_is_stored_once(kinds: list[str]) -> None:
    clock = FakeClock()
    rows = make_rows(kinds, clock)
    box = Outbox(None, clock=clock)
    box.put(rows)
    box.put(rows[::-1])
    assert box.oldest(1000) == rows
    box.close()


@given(kinds=KINDS, gone=st.sets(st.integers(0, 29)), skipped=st.sets(st.integers(0, 29)))
@settings(max_examples=20, deadline=None)
def test_deleted_rows_are_gone_and_skipped_ones_stay(kinds: list[str], gone: set[int], skipped: set[int]) -> None:
    clock = FakeClock()
    rows = make_rows(kinds, clock)
    box = Outbox(None, clock=clock)
    box.put(rows)
    assert box.delete([rows[n].id for n in gone if n < len(rows)])
    skip = {rows[n].id for n in skipped if n < len(rows)}
    stays = [row for n, row in enumerate(rows) if n not in gone]
    assert box.oldest(1000, skip=skip) == [row for row in stays if row.id not in skip]
    assert box.rows == len(stays)
    box.close()


def test_rows_outlive_the_process_that_did_not_close(path: Path, clock: FakeClock) -> None:
    rows = make_rows(["reading", "event"] * 5, clock)
    abandoned = Outbox(path, clock=clock)
    abandoned.put(rows)
    again = Outbox(path, clock=clock)
    assert again.oldest(100) == rows
    again.close()
    abandoned.close()


def test_sessions_count_up_from_start_to_start(path: Path, clock: FakeClock) -> None:
    numbers = []
    for _ in range(3):
        box = Outbox(path, clock=clock)
        numbers.append(box.next_session())
        box.close()
    assert numbers == [1, 2, 3]


def test_a_lost_session_file_does_not_lead_back(path: Path, clock: FakeClock) -> None:
    box = Outbox(path, clock=clock)
    box.put(make_rows(["reading"], clock, session=41))
    path.with_suffix(".session").write_text("4?")
    assert box.next_session() > 41
    box.close()


def test_without_a_file_the_session_is_the_time(clock: FakeClock) -> None:
    box = Outbox(None, clock=clock)
    assert box.next_session() == int(clock.wall())
    assert not box.persistent
    box.close()


def test_rows_are_dropped_by_age(outbox: Outbox, clock: FakeClock) -> None:
    maker = Maker(clock)
    outbox.put([maker.row("reading"), maker.row("event")])
    clock.advance(6 * 86_400.0)
    young = maker.row("reading")
    outbox.put([young])
    clock.advance(2 * 86_400.0)
    assert outbox.oldest(100) == [young]
    assert outbox.dropped == 2


def test_the_age_across_boots_counts_only_where_both_clocks_were_right(path: Path, clock: FakeClock) -> None:
    began = clock.wall()
    known = Maker(clock).row("reading")
    store(path, clock, known)
    clock.reboot(boot="boot-2", synced=False, wall=0.0)
    unknown = Maker(clock, session=2).row("reading")
    store(path, clock, unknown)
    clock.reboot(boot="boot-3", synced=False, wall=began + 30 * 86_400.0)
    box = Outbox(path, clock=clock)
    clock.advance(100.0)
    assert box.oldest(100) == [known, unknown]
    clock.synchronise(began + 30 * 86_400.0)
    clock.advance(100.0)
    assert box.oldest(100) == [unknown]
    box.close()


def test_times_are_corrected_once_the_clock_is_right(outbox: Outbox, clock: FakeClock) -> None:
    clock.reboot(boot="boot-2", synced=False, wall=12.0)
    maker = Maker(clock)
    outbox.put([maker.row("reading")])
    clock.advance(60.0)
    assert not outbox.oldest(1)[0].clock_synced
    clock.synchronise(1_800_000_000.0)
    clock.advance(40.0)
    (row,) = outbox.oldest(1)
    message = decode(Reading, row.payload)
    assert message.clock_synced
    assert message.ts == pytest.approx(1_800_000_000.0 + 40.0 - 100.0)
    assert message.id == row.id


def test_times_of_another_boot_stay_as_they_are(outbox: Outbox, clock: FakeClock) -> None:
    clock.reboot(boot="boot-2", synced=False, wall=12.0)
    row = Maker(clock).row("reading")
    outbox.put([row])
    clock.reboot(boot="boot-3", synced=True, wall=1_800_000_000.0)
    assert outbox.oldest(1) == [row]


def test_a_row_of_another_version_is_passed_on_untouched(outbox: Outbox, clock: FakeClock) -> None:
    clock.reboot(boot="boot-2", synced=False, wall=12.0)
    made = Maker(clock).row("reading")
    strange = replace(made, payload=made.payload.replace(b"mien.reading/1", b"mien.reading/2"))
    outbox.put([strange])
    clock.synchronise(1_800_000_000.0)
    assert outbox.oldest(1) == [strange]
