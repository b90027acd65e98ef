"""Counting what happened, and saying so in the log once in a while instead of once a message."""

from __future__ import annotations

import logging
import time
from collections import Counter

log = logging.getLogger(__name__)

LOG_EVERY_S = 60.0


class Counters:
    """Named counts of one service, shown at /api/counters.

    Names are dotted, e.g. `ingest.stored` or `ingest.refused.malformed`.
    """

    def __init__(self, *, log_every_s: float = LOG_EVERY_S) -> None:
        self._counts: Counter[str] = Counter()
        self._log_every_s = log_every_s
        self._said: dict[str, tuple[float, int]] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Count silently."""
        self._counts[name] += amount

    def warn(self, name: str, what: str) -> None:
        """Count, and log `what` unless the same name was logged within the last minute."""
        self.add(name)
        now = time.monotonic()
        said_at, said_count = self._said.get(name, (-self._log_every_s, 0))
        if now - said_at < self._log_every_s:
            return
        count = self._counts[name]
        more = f" ({count - said_count - 1} more since the last such line)" if count - said_count > 1 else ""
        log.warning("%s: %s%s", name, what, more)
        self._said[name] = (now, count)

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def snapshot(self) -> dict[str, int]:
        """Return all counts by name."""
        return dict(sorted(self._counts.items()))
