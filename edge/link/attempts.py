"""What one attempt to connect teaches for the next: which MQTT version, how long to wait, whether to stop. Pure."""

from __future__ import annotations

from collections.abc import Callable

from edge.link.broker import Version
from edge.link.connection import Ending

SILENCES = 3
"""So many CONNECTs in a row without an answer make a version doubtful that had been spoken before."""

SHORT_S = 60.0
"""A connection that lasted less was short: the longest wait of another one who wants our name."""
SHORT_LIMIT = 6
"""So many of them closed by a broker that was there all the time look like a fight."""


class Versions:
    """Which MQTT version to speak: 5 where the broker knows it, else 3.1.1; what worked is remembered."""

    def __init__(self) -> None:
        self.current: Version = "5"
        self._spoken: Version | None = None
        self._silences = 0

    def accepted(self) -> None:
        """Note that the broker speaks the current version."""
        self._spoken, self._silences = self.current, 0

    def failed(self, ending: Ending) -> bool:
        """Note how an attempt ended; True: try the other version at once.

        Silence may mean a broker that takes a CONNECT of version 5 for an unfinished one, as amqtt does, or a network
        that broke at the wrong moment: where the version has been spoken before it is not given up for one silence.
        """
        if ending.kind == "silence":
            self._silences += 1
            if self._spoken == self.current and self._silences < SILENCES:
                return False
        elif ending.kind != "wrong version":
            return False
        self._silences = 0
        self.current = "3.1.1" if self.current == "5" else "5"
        return self.current == "3.1.1"


class Fights:
    """Suspects that somebody else uses our name.

    A broker of MQTT 5 ought to say so. Mosquitto before 2.0.15 does not, and by 3.1.1 none can: it just hangs up,
    again and again. A broken network looks different: connections are reset or time out, and attempts fail.
    """

    def __init__(self) -> None:
        self._short = 0

    def ended(self, ending: Ending, lasted_s: float) -> None:
        """Note how a connection ended that the broker had accepted."""
        if lasted_s >= SHORT_S:
            self._short = 0
        elif ending.kind == "closed":
            self._short += 1

    def explained(self) -> None:
        """Note that no broker was there: one that comes and goes explains short connections."""
        self._short = 0

    @property
    def suspected(self) -> bool:
        """Whether it looks like a fight."""
        return self._short >= SHORT_LIMIT


class Backoff:
    """Waits between attempts: `jitter(0, x)` with x doubling from `first_s` to `longest_s` seconds."""

    def __init__(self, first_s: float, longest_s: float, jitter: Callable[[float, float], float]) -> None:
        self._first_s, self._longest_s, self._jitter = first_s, longest_s, jitter
        self._failures = 0

    def ended(self, lasted_s: float) -> None:
        """Note that a connection was accepted and lasted so long: a short one does not make the waits short again."""
        if lasted_s >= SHORT_S:
            self._failures = 0

    def next_s(self) -> float:
        """Return the seconds to wait before the next attempt."""
        limit_s = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return self._jitter(0.0, limit_s)
