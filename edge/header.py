"""The fields that every message carries: id, session, sequence number, time, mode."""

from __future__ import annotations

import itertools
import threading
from typing import TypedDict

from edge.clock import Clock, new_id
from edge.protocol import Mode


class Header(TypedDict):
    """Keyword arguments for any `edge.protocol.Message`."""

    id: str
    session: int
    seq: int
    ts: float
    clock_synced: bool
    mode: Mode


class Headers:
    """Makes the headers of one session's messages, numbered in the order of the calls. Safe to share."""

    def __init__(self, *, session: int, mode: Mode, clock: Clock) -> None:
        self.session = session
        self.mode = mode
        self._clock = clock
        self._count = itertools.count()
        self._lock = threading.Lock()

    def next(self) -> Header:
        """Return the header of the next message."""
        with self._lock:
            return {
                "id": new_id(),
                "session": self.session,
                "seq": next(self._count),
                "ts": self._clock.wall(),
                "clock_synced": self._clock.synced(),
                "mode": self.mode,
            }
