"""What the courier is told, by whichever thread."""

from __future__ import annotations

from typing import NamedTuple

from edge.link.connection import Connection, Packet
from edge.link.rows import Row


class Parcel(NamedTuple):
    """A message to bring; one without a row is lost if it cannot be sent at once."""

    packet: Packet
    row: Row | None


class Up(NamedTuple):
    """A connection that the broker has accepted."""

    connection: Connection


class Down(NamedTuple):
    """A connection from which no acknowledgement comes any more."""

    connection: Connection


class Acknowledged(NamedTuple):
    """The broker's word for a packet of the present connection."""

    mid: int
    reason: int


class Stop(NamedTuple):
    """Stop by the monotonic time `until`, and say these last words."""

    until: float
    last_words: Packet


Note = Parcel | Up | Down | Acknowledged | Stop
