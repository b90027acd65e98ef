"""How many analyses may be in hand, in all and of one person."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from cloud.analyse.limits import Limits
from cloud.analyse.records import Owner
from cloud.errors import AnalysisError

CONFLICT, TOO_MANY, BUSY = 409, 429, 503


class Slot:
    """One of them."""

    def __init__(self, owner: Owner, give_back: Callable[[], None]) -> None:
        self.owner = owner
        self._give_back: Callable[[], None] | None = give_back

    def release(self) -> None:
        """Give it back; harmless when done twice."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class Slots:
    """Counts analyses from the moment that they are asked for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken: Counter[Owner] = Counter()
        self._lock = threading.Lock()

    def take(self, owner: Owner, *, stored: int) -> Slot:
        """Return one for somebody who has `stored` results already. Raises AnalysisError if there is none."""
        limits = self._limits
        if stored >= limits.max_stored:
            what = f"{limits.max_stored} results of yours are kept already"
            raise AnalysisError(what, fix="Delete some.", status=CONFLICT)
        with self._lock:
            if self._taken[owner] >= limits.max_own:
                what = f"{limits.max_own} analyses of yours are being worked on already"
                raise AnalysisError(what, fix="Wait for one, or cancel one.", status=TOO_MANY)
            if self._taken.total() >= limits.max_active:
                raise AnalysisError("too many analyses are waiting", fix="Try again in a minute.", status=BUSY)
            self._taken[owner] += 1
        return Slot(owner, lambda: self._give_back(owner))

    def _give_back(self, owner: Owner) -> None:
        with self._lock:
            self._taken[owner] -= 1
