"""The readings of a replay and the verdicts that supersede them, given out in the order of the windows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge.clock import Clock
from edge.protocol import Distribution, Reading, Verdict


@dataclass
class Row:
    """One window of one clip: the reading, and what became of the question to the cloud."""

    clip: str
    reading: Reading
    asked_at: float
    """Monotonic seconds."""
    verdict: Verdict | None = None
    error: str | None = None
    """Why an asked-for verdict is not there."""
    settled: bool = False

    @property
    def final(self) -> Distribution | None:
        """Return what stands in the end: the cloud's word where there is one, else the device's."""
        if self.verdict is not None and self.verdict.fused is not None:
            return self.verdict.fused
        return self.reading.fused


class Ledger:
    """Matches verdicts with readings. Safe to share: verdicts come from the network's thread.

    `on_row` gets each row once, in the order of the readings, as soon as the row and all before it are settled.
    """

    def __init__(self, *, clock: Clock, deadline_s: float, on_row: Callable[[Row], None]) -> None:
        self._clock, self._deadline_s, self._on_row = clock, deadline_s, on_row
        self._open: deque[Row] = deque()
        self._changed = threading.Condition()

    def add(self, clip: str, reading: Reading) -> None:
        """Take a reading; one that asked the cloud stays open until its verdict or its deadline."""
        with self._changed:
            row = Row(clip, reading, self._clock.monotonic(), settled=reading.gate != "requested")
            self._open.append(row)
            self._expire()

    def answer(self, verdict: Verdict) -> None:
        """Take a verdict; one for a reading that is not open is ignored: it is late, or another's."""
        with self._changed:
            for row in self._open:
                if row.reading.id == verdict.reading_id and not row.settled:
                    self._settle(row, verdict)
            self._give_out()

    def wait(self, timeout_s: float) -> None:
        """Return once all rows are given out, or after `timeout_s`, when the rest counts as late."""
        until = self._clock.monotonic() + timeout_s
        with self._changed:
            while self._open and self._clock.monotonic() < until:
                self._expire()
                self._changed.wait(0.1)
            for row in self._open:
                self._late(row)
            self._give_out()

    def _settle(self, row: Row, verdict: Verdict) -> None:
        row.settled = True
        if verdict.status == "ok":
            row.verdict = verdict
        else:
            row.error = f"refused: {verdict.reason}"

    def _late(self, row: Row) -> None:
        if not row.settled:
            row.settled = True
            row.error = f"late: no verdict within {self._deadline_s:g} s"

    def _expire(self) -> None:
        for row in self._open:
            if self._clock.monotonic() - row.asked_at > self._deadline_s:
                self._late(row)
        self._give_out()

    def _give_out(self) -> None:
        while self._open and self._open[0].settled:
            self._on_row(self._open.popleft())
        self._changed.notify_all()
