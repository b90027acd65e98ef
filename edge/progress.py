"""Who of the daemon's workers gets on with its work: what the watchdog is fed by.

Each worker promises before whatever may take long (a read, a pause before a reopen, a wait for the broker) when it will
be back at the latest. A kept promise is progress, even if nothing came of it; a broken one is a worker that hangs.
"""

from __future__ import annotations

import math

from edge.clock import Clock


class Heart:
    """One worker's promise. Written by its worker, read by anybody: a float is replaced in one step."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._due = math.inf

    def beat(self, within_s: float) -> None:
        """Promise to call again within so many seconds."""
        self._due = self._clock.monotonic() + within_s

    def rest(self) -> None:
        """End the work: nothing is promised any more."""
        self._due = math.inf

    def overdue_s(self) -> float:
        """Return for how many seconds the promise has been broken, 0.0 if it holds."""
        return max(0.0, self._clock.monotonic() - self._due)


class Progress:
    """The hearts of all workers. Make them before the workers start."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hearts: dict[str, Heart] = {}

    def heart(self, name: str) -> Heart:
        """Return a new heart for the worker `name`; a former one of that name counts no more."""
        self._hearts[name] = Heart(name, self._clock)
        return self._hearts[name]

    def stuck(self) -> dict[str, float]:
        """Return the workers that hang, and for how many seconds they have been overdue."""
        overdue = {heart.name: heart.overdue_s() for heart in list(self._hearts.values())}
        return {name: seconds for name, seconds in overdue.items() if seconds > 0.0}
