"""Outbox and courier against simple models, by whatever sequence of events hypothesis thinks of."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from link_samples import Maker
from link_simulated import PUBACK_TIMEOUT_S, Device

from edge.clock import FakeClock
from edge.link.outbox import EXPIRE_EVERY_S, Outbox
from edge.link.rows import Row

SHM = Path("/dev/shm")
"""Where commits cost nothing: these tests are about sequences of events, not about disks."""

KINDS = st.sampled_from(["reading", "reading", "reading", "aggregate", "event"])
NOT_AUTHORIZED, QUOTA_EXCEEDED = 135, 151


class OutboxMachine(RuleBasedStateMachine):
    """The outbox against a sorted list with bounds."""

    @initialize(max_bytes=st.integers(1000, 8000), max_age_s=st.floats(30.0, 600.0))
    def begin(self, max_bytes: int, max_age_s: float) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=SHM if SHM.is_dir() else None))
        self.bounds = {"max_bytes": max_bytes, "max_age_s": max_age_s}
        self.clock = FakeClock()
        self.model: list[Row] = []
        self.dropped, self.gone_before = 0, 0
        self._open()

    def _open(self) -> None:
        self.box = Outbox(self.folder / "outbox.sqlite", clock=self.clock, **self.bounds)  # type: ignore[arg-type]
        self.maker = Maker(self.clock, session=self.box.next_session())
        self.expired_at = self.clock.monotonic()
        self.dropped = 0

    @rule(kinds=st.lists(KINDS, max_size=6), again=st.booleans())
    def put(self, kinds: list[str], again: bool) -> None:
        rows = [self.maker.row(kind) for kind in kinds]
        assert self.box.put(rows + self.model[:2] * again) == []
        self.model += rows
        self._expire()
        while sum(row.size for row in self.model) > self.bounds["max_bytes"]:
            self._drop(min(self.model, key=lambda row: (row.precious, row.order)))

    @rule(which=st.sets(st.integers(0, 20)))
    def delete(self, which: set[int]) -> None:
        gone = [row for n, row in enumerate(self.model) if n in which]
        assert self.box.delete([row.id for row in gone])
        self.model = [row for row in self.model if row not in gone]

    @rule(limit=st.integers(0, 30), skip=st.sets(st.integers(0, 20)))
    def oldest(self, limit: int, skip: set[int]) -> None:
        self._expire()
        ordered = sorted(self.model, key=lambda row: row.order)
        skipped = {row.id for n, row in enumerate(ordered) if n in skip}
        assert self.box.oldest(limit, skip=skipped) == [row for row in ordered if row.id not in skipped][:limit]

    @rule(seconds=st.floats(0.1, 400.0))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def kill_and_restart(self) -> None:
        abandoned = self.box  # not closed: a killed process closes nothing
        self._open()
        abandoned.close()

    @rule(off_s=st.floats(1.0, 100.0))
    def reboot(self, off_s: float) -> None:
        self.box.close()
        self.clock.reboot(boot=f"{self.clock.boot_id()}+", synced=True, wall=self.clock.wall() + off_s)
        self._open()

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "box"):
            assert (self.box.rows, self.box.bytes) == (len(self.model), sum(row.size for row in self.model))
            assert self.box.dropped == self.dropped
            assert self.box.quarantined == 0

    def teardown(self) -> None:
        if hasattr(self, "box"):
            self.box.close()
            shutil.rmtree(self.folder)

    def _expire(self) -> None:
        """Too old are rows of this boot by the monotonic clock, and rows of another one by the wall clock."""
        now = self.clock.monotonic()
        if now - self.expired_at < min(EXPIRE_EVERY_S, self.bounds["max_age_s"]):
            return
        self.expired_at = now
        for row in list(self.model):
            same = row.boot == self.clock.boot_id()
            age_s = now - row.monotonic if same else self.clock.wall() - row.ts
            if age_s > self.bounds["max_age_s"]:
                self._drop(row)

    def _drop(self, row: Row) -> None:
        self.model.remove(row)
        self.dropped += 1


class CourierMachine(RuleBasedStateMachine):
    """A device that meets a broker now and then: nothing is lost but what a crash may cost, nothing comes for nothing.

    Every message that was handed over is acknowledged, refused, on disk, in memory, or was made less than
    `PUBACK_TIMEOUT_S` before a crash.
    """

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=SHM if SHM.is_dir() else None))
        self.device = Device(self.folder / "outbox.sqlite")
        self.settled: set[str] = set()
        self.excused: set[str] = set()
        self.may_repeat: set[str] = set()
        self.boots = 0
        self._fresh_wire()

    def _fresh_wire(self) -> None:
        self.quota_hit = False
        self.before_wire = set(self.device.made)

    @rule(kinds=st.lists(KINDS, min_size=1, max_size=3), times=st.sampled_from([1, 5, 40]))
    def make(self, kinds: list[str], times: int) -> None:
        for kind in kinds * times:
            self.device.make(kind)

    @precondition(lambda self: self.device.wire is None)
    @rule()
    def connect(self) -> None:
        self._fresh_wire()
        self.device.connect()

    @precondition(lambda self: self.device.wire is not None)
    @rule(arrive=st.integers(0, 20))
    def disconnect(self, arrive: int) -> None:
        self.device.deliver(arrive)
        assert self.device.wire is not None
        # They have arrived, and their acknowledgements are lost: they will come twice.
        self.device.disconnect()

    @precondition(lambda self: self.device.wire is not None)
    @rule(arrive=st.integers(0, 20), answers=st.integers(0, 20))
    def exchange(self, arrive: int, answers: int) -> None:
        self.device.deliver(arrive)
        self.settled.update(self.device.answer(count=answers))

    @precondition(lambda self: self.device.wire is not None)
    @rule()
    def refuse(self) -> None:
        self.device.deliver(1)
        self.settled.update(self.device.answer(NOT_AUTHORIZED, count=1))

    @precondition(lambda self: self.device.wire is not None)
    @rule(count=st.integers(1, 5))
    def say_the_quota_is_used_up(self, count: int) -> None:
        self.device.deliver(count)
        self.quota_hit |= bool(self.device.answer(QUOTA_EXCEEDED, count=count))

    @precondition(lambda self: self.device.wire is not None)
    @rule(turns=st.sampled_from([10, 100]), every_s=st.sampled_from([0.01, 0.1, 0.3]), answers=st.integers(1, 20))
    def exchange_for_a_while(self, turns: int, every_s: float, answers: int) -> None:
        for turn in range(turns):
            if turn % 10 == 0:
                self.device.make("reading")
            self.device.advance(every_s)
            self.exchange(20, answers)

    @rule(seconds=st.one_of(st.floats(0.01, 1.5), st.floats(1.5, 70.0)))
    def wait(self, seconds: float) -> None:
        self.device.advance(seconds)

    @rule(power_cut=st.booleans())
    def crash(self, power_cut: bool) -> None:
        now = self.device.clock.monotonic()
        self.boots += power_cut
        lost = self.device.crash(boot=f"boot-{self.boots}" if power_cut else None) - self.settled
        assert all(now - self.device.made[row_id].monotonic <= PUBACK_TIMEOUT_S for row_id in lost)
        self.excused |= lost
        # Acknowledged rows are deleted once a second, so a crash in between brings them back.
        self.may_repeat |= {row.id for row in self.device.in_outbox()} & self.settled

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "device"):
            return
        held = {row.id for row in [*self.device.in_memory(), *self.device.in_outbox()]}
        assert set(self.device.made) - held - self.settled - self.excused == set()
        assert self.device.outbox.dropped == 0
        now = self.device.clock.monotonic()
        assert all(now - row.monotonic <= PUBACK_TIMEOUT_S for row in self.device.in_memory())

    @invariant()
    def nothing_is_sent_twice_or_out_of_order(self) -> None:
        if not hasattr(self, "device") or self.device.wire is None or self.quota_hit:
            return
        sent = self.device.wire.sent
        assert len(sent) == len(set(sent))
        old = [self.device.made[row_id].order for row_id in sent if row_id in self.before_wire]
        assert old == sorted(old)

    def teardown(self) -> None:
        if not hasattr(self, "device"):
            return
        if self.device.wire is not None:
            self.device.disconnect()
        sent_before = set(self.settled)
        self._fresh_wire()
        self.device.connect()
        for _ in range(2000):
            self.device.deliver()
            self.settled.update(self.device.answer())
            self.device.advance(0.5)
            if not self.device.in_memory() and not self.device.in_outbox():
                break
        assert set(self.device.made) == self.settled | self.excused
        assert set(self.device.wire.sent) & sent_before <= self.may_repeat
        self.device.outbox.close()
        shutil.rmtree(self.folder)


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestCourier = CourierMachine.TestCase
TestCourier.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
