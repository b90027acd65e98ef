"""A courier under a clock of the test's own, and a broker that does what the test says: days pass in seconds."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import msgspec
from link_samples import Maker

from edge.clock import FakeClock
from edge.link.connection import WINDOW, Ending, Packet
from edge.link.courier import Courier
from edge.link.outbox import Outbox
from edge.link.rows import Row

PUBACK_TIMEOUT_S = 5.0


class Wire:
    """One connection to the broker, as the courier sees it. Nothing arrives before the test says so."""

    def __init__(self) -> None:
        self.window = WINDOW
        self.ended: Ending | None = None
        self.sent: list[str] = []
        """Ids of all rows sent on it, in order."""
        self.under_way: deque[tuple[int, Packet]] = deque()
        """Sent, not arrived."""
        self.arrived: deque[tuple[int, Packet]] = deque()
        """Arrived, not answered."""
        self._mid = 0

    def publish(self, packet: Packet) -> int:
        self._mid += 1
        self.under_way.append((self._mid, packet))
        if (row_id := id_of(packet)) is not None:
            self.sent.append(row_id)
        assert len(self.under_way) + len(self.arrived) <= self.window
        return self._mid

    def end(self, ending: Ending) -> None:
        self.ended = ending


class Device:
    """Outbox, courier and clock of one device that can crash, reboot and meet a broker now and then."""

    def __init__(self, path: Path | None, **bounds: Any) -> None:
        self.clock = FakeClock()
        self._path, self._bounds = path, bounds
        self.outbox = Outbox(path, clock=self.clock, **bounds)
        self.received: list[Row] = []
        """What the broker has taken, in the order of arrival; twice what came twice."""
        self.made: dict[str, Row] = {}
        self.wire: Wire | None = None
        self._start()

    def make(self, kind: str) -> Row:
        """Hand a message to the link."""
        row = self._maker.row(kind)
        self.made[row.id] = row
        self.courier.send(Packet(row.topic, row.payload, 1), row)
        self.settle()
        return row

    def connect(self) -> None:
        self.wire = Wire()
        self.courier.up(self.wire)  # type: ignore[arg-type]
        self.settle()

    def disconnect(self) -> None:
        """The connection breaks: what is under way is gone, and no acknowledgement comes any more."""
        assert self.wire is not None
        self.courier.down(self.wire)  # type: ignore[arg-type]
        self.wire = None
        self.settle()

    def deliver(self, count: int = WINDOW) -> None:
        """Up to `count` packets reach the broker."""
        assert self.wire is not None
        for _ in range(min(count, len(self.wire.under_way))):
            flight = self.wire.under_way.popleft()
            self.wire.arrived.append(flight)

    def answer(self, reason: int = 0, count: int = WINDOW) -> list[str]:
        """The broker answers up to `count` packets that have arrived; return the ids of the rows among them."""
        assert self.wire is not None
        answered = []
        for _ in range(min(count, len(self.wire.arrived))):
            mid, packet = self.wire.arrived.popleft()
            row_id = id_of(packet)
            if row_id is not None:
                answered.append(row_id)
                if reason == 0:
                    self.received.append(self.made[row_id])
            self.courier.acknowledged(mid, reason)
        self.settle()
        return answered

    def advance(self, seconds: float) -> None:
        """Let time pass; the courier works whenever something is due."""
        until = self.clock.monotonic() + seconds
        while (left := until - self.clock.monotonic()) > 0.0:
            self.clock.advance(min(left, max(self.courier.turn(0.0), 1e-3)))
        self.settle()

    def settle(self) -> None:
        """Let the courier do what is due now."""
        while self.courier.turn(0.0) <= 0.0:
            pass

    def crash(self, *, boot: str | None = None) -> set[str]:
        """SIGKILL, or a power cut into another `boot`: what was only in memory is gone, its ids are returned."""
        in_memory = {row.id for row in self.courier._flights.in_memory()}
        self.outbox.close()
        self.wire = None
        if boot is not None:
            self.clock.reboot(boot=boot, synced=True, wall=self.clock.wall() + 60.0)
        self.outbox = Outbox(self._path, clock=self.clock, **self._bounds)
        self._start()
        return in_memory

    def in_memory(self) -> list[Row]:
        return self.courier._flights.in_memory()

    def in_outbox(self) -> list[Row]:
        return self.outbox.oldest(1_000_000)

    def _start(self) -> None:
        self._maker = Maker(self.clock, session=self.outbox.next_session())
        self.courier = Courier(
            outbox=self.outbox,
            clock=self.clock,
            puback_timeout_s=PUBACK_TIMEOUT_S,
            replay_per_s=20.0,
            greet=lambda _: [],
            on_refused=lambda *_: None,
        )


def id_of(packet: Packet) -> str | None:
    """Return the id of the message that a packet carries."""
    message = msgspec.json.decode(packet.payload)
    return str(message["id"]) if "id" in message else None
