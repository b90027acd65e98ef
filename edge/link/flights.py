"""What is in memory and not acknowledged: the courier's bookkeeping. Pure, and of one thread."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from edge.link.connection import Packet
from edge.link.rows import SPEC, Row

MAX_WAITING = 1000
"""Rows held in memory while the disk takes none."""


@dataclass
class Flight:
    """A packet on its way."""

    packet: Packet
    row: Row | None
    since: float
    """Monotonic seconds."""
    stored: bool
    """Whether the row is in the outbox as well."""


class Next(NamedTuple):
    """What to send next."""

    packet: Packet
    row: Row | None


class Flights:
    """Packets that wait to be sent on this connection, and those that were sent and wait for their acknowledgement."""

    def __init__(self) -> None:
        self._urgent: deque[Packet] = deque()
        self._waiting: deque[Row] = deque()
        self._flying: dict[int, Flight] = {}

    def __len__(self) -> int:
        """Return how many packets are on their way."""
        return len(self._flying)

    def wait(self, row: Row) -> None:
        """Let a row wait to be sent."""
        self._waiting.append(row)

    def hurry(self, packet: Packet) -> None:
        """Let a packet that is not kept wait to be sent, before all rows."""
        self._urgent.append(packet)

    def wait_again(self, row: Row) -> None:
        """Let a row that was sent in vain wait again, in its place."""
        self._waiting = deque(sorted([row, *self._waiting], key=lambda each: each.order))

    def pop_next(self, *, rows: bool = True) -> Next | None:
        """Take what is to be sent next, None if nothing waits; without `rows` only what is not kept."""
        if self._urgent:
            return Next(self._urgent.popleft(), None)
        if rows and self._waiting:
            row = self._waiting.popleft()
            return Next(packet_of(row), row)
        return None

    def take_off(self, mid: int, flight: Flight) -> None:
        """Note that a packet was sent under the number `mid`."""
        self._flying[mid] = flight

    def arrive(self, mid: int) -> Flight | None:
        """Take the flight of number `mid` out; None if there is none, as after QoS 0."""
        return self._flying.pop(mid, None)

    def land(self) -> int:
        """The connection is gone: rows that are not stored wait again, in their order. Return how many are lost."""
        flights = list(self._flying.values())
        rows = [flight.row for flight in flights if flight.row is not None and not flight.stored]
        lost = len(self._urgent) + sum(1 for flight in flights if flight.row is None)
        self._waiting = deque(sorted([*rows, *self._waiting], key=lambda row: row.order))
        self._flying.clear()
        self._urgent.clear()
        return lost

    def in_memory(self) -> list[Row]:
        """Return the rows that would be gone if the power were cut now."""
        flying = [flight.row for flight in self._flying.values() if flight.row is not None and not flight.stored]
        return [*flying, *self._waiting]

    def oldest_in_memory(self) -> float | None:
        """Return when the oldest of them was made, monotonic seconds."""
        return min((row.monotonic for row in self.in_memory()), default=None)

    def stored_ids(self) -> set[str]:
        """Return the ids of rows that are in the outbox and on their way."""
        return {flight.row.id for flight in self._flying.values() if flight.row is not None and flight.stored}

    def mark_stored(self, *, but: set[str]) -> None:
        """Note that all rows are in the outbox now, but those with the ids `but`: waiting ones are its business now."""
        self._waiting = deque(row for row in self._waiting if row.id in but)
        for flight in self._flying.values():
            if flight.row is not None:
                flight.stored = flight.stored or flight.row.id not in but

    def drop_excess(self) -> int:
        """Give up the oldest waiting rows beyond MAX_WAITING, events last, and return how many."""
        dropped = 0
        while len(self._waiting) > MAX_WAITING:
            self._waiting.remove(next((row for row in self._waiting if not row.precious), self._waiting[0]))
            dropped += 1
        return dropped

    def oldest_flight(self) -> Flight | None:
        """Return the flight that waits longest: dicts keep their order."""
        return next(iter(self._flying.values()), None)

    def has(self, packet: Packet) -> bool:
        """Return whether this very packet is on its way."""
        return any(flight.packet is packet for flight in self._flying.values())


def packet_of(row: Row) -> Packet:
    """Return what is to be published for a row."""
    return Packet(row.topic, row.payload, SPEC[row.kind].qos)
