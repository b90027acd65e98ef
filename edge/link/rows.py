"""One message as the outbox keeps it. Pure: clocks are passed in as numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from edge.errors import ProtocolError
from edge.protocol import TOPICS, Message, decode

SPEC = {spec.kind: spec for spec in TOPICS}


@dataclass(frozen=True)
class Row:
    """One message that must reach the broker, with all that is needed to send it days later."""

    id: str
    session: int
    seq: int
    kind: str
    topic: str
    payload: bytes
    boot: str
    """The boot in which it was made."""
    monotonic: float
    """When it was made, monotonic seconds of that boot."""
    ts: float
    """When it was made, Unix seconds by the wall clock of that moment, right or wrong."""
    clock_synced: bool
    """Whether that wall clock was right."""

    @property
    def size(self) -> int:
        """Bytes that count against the outbox's bound."""
        return len(self.payload) + len(self.topic) + 128

    @property
    def order(self) -> tuple[int, int]:
        """Position in the order in which the messages were made."""
        return self.session, self.seq

    @property
    def precious(self) -> bool:
        """Whether it is dropped last: events say what went wrong, and there are few of them."""
        return self.kind == "event"


def row_of(message: Message, *, kind: str, topic: str, payload: bytes, boot: str, monotonic: float) -> Row:
    """Return the row of a message that was made at `monotonic` seconds of the boot `boot`."""
    return Row(
        id=message.id,
        session=message.session,
        seq=message.seq,
        kind=kind,
        topic=topic,
        payload=payload,
        boot=boot,
        monotonic=monotonic,
        ts=message.ts,
        clock_synced=message.clock_synced,
    )


def with_true_time(row: Row, *, boot: str, monotonic: float, wall: float) -> Row:
    """Return the row with `ts` set right, now that `wall` is known to be right at `monotonic` seconds of boot `boot`.

    A row of another boot stays as it is: nobody knows how long the power was off.
    """
    if row.clock_synced or row.boot != boot:
        return row
    ts = wall - max(0.0, monotonic - row.monotonic)
    spec = SPEC[row.kind]
    try:
        message = decode(spec.message, row.payload)
    except ProtocolError:  # written by another version; its reader decides what to make of it
        return row
    payload = msgspec.json.encode(msgspec.structs.replace(message, ts=ts, clock_synced=True))
    return replace(row, payload=payload, ts=ts, clock_synced=True)
