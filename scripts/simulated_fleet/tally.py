"""What became of a fleet's readings: counted by the devices, and by somebody who watches the dashboard's socket."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Of one step. All times are of this machine's monotonic clock, so sender and watcher have to be on it."""

    sent: dict[str, float] = field(default_factory=dict)
    """Id of a reading to the second at which it was published."""
    acknowledged: int = 0
    """By the broker."""
    failed: Counter[str] = field(default_factory=Counter)
    """Publishes without an acknowledgement, by what was said."""
    lags_ms: list[float] = field(default_factory=list)
    """From the publish until a page that watches has the reading, which by then is stored."""
    asked: int = 0
    """Readings with evidence."""
    verdicts_ms: list[float] = field(default_factory=list)
    """From the evidence's publish to the verdict."""
    refused: Counter[str] = field(default_factory=Counter)
    """Verdicts that refuse, by reason."""

    def seen(self, reading_id: str) -> None:
        """Note that a watcher has the reading; one that was sent in another step counts there alone."""
        sent_at = self.sent.get(reading_id)
        if sent_at is not None:
            self.lags_ms.append(1000.0 * (time.monotonic() - sent_at))
