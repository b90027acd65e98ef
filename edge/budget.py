"""What the cloud may be asked per minute, and which questions are worth it. Pure: the time is passed in.

A question takes some share of a minute's budget of requests or bytes, whichever is scarcer for it; what it is worth
(edge/perception/manifest.py, `Gate.worth`) divided by that is its rank. While the budget covers all recent questions,
all are asked. Where it does not, only those are whose rank reaches a price: the price at which the recent questions
would have cost what the budget gives, lower while the buckets are full and higher while they are nearly empty.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

HISTORY = 200
"""Recent questions that the price is made from: ten minutes of windows of 3 s, all of them unsure."""
FEWEST = 10
"""With fewer known questions all are asked, first come, first served."""
HISTORY_S = 1800.0
"""Seconds after which a question is forgotten: what people do changes."""


class TokenBucket:
    """Allows `per_minute` units on average and as many at once."""

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        self._level = per_minute
        self._at: float | None = None

    def level(self, now: float) -> float:
        """Return the units there are at `now` (monotonic seconds)."""
        if self._at is not None:
            self._level = min(self.per_minute, self._level + max(0.0, now - self._at) * self.per_minute / 60.0)
        self._at = now
        return self._level

    def take(self, units: float) -> None:
        """Spend `units`; the caller has asked `level` before."""
        self._level -= units


class _Question(NamedTuple):
    asked_at: float
    rank: float
    minutes: float
    """Share of a minute's budget that it takes."""


class Budget:
    """A budget of requests and bytes per minute that goes to the questions worth most.

    >>> budget.buys(worth, size, now)

    The recent questions include those that were not asked: they are what the asked ones compete with.
    """

    def __init__(self, *, requests_per_minute: float, bytes_per_minute: float) -> None:
        self._requests = TokenBucket(requests_per_minute)
        self._bytes = TokenBucket(bytes_per_minute)
        self._recent: deque[_Question] = deque(maxlen=HISTORY)

    def buys(self, worth: float, size: int, now: float) -> bool:
        """Return whether a question of `size` bytes, worth `worth` >= 0, is asked at `now`, and if so spend on it."""
        requests, left = self._requests.level(now), self._bytes.level(now)
        if not self._requests.per_minute or not self._bytes.per_minute:
            return False
        minutes = max(1.0 / self._requests.per_minute, size / self._bytes.per_minute)
        question = _Question(now, worth / minutes, minutes)
        self._remember(question)
        if requests < 1.0 or left < size:
            return False
        if question.rank < self._price(min(requests / self._requests.per_minute, left / self._bytes.per_minute), now):
            return False
        self._requests.take(1.0)
        self._bytes.take(size)
        return True

    def _remember(self, question: _Question) -> None:
        self._recent.append(question)
        while question.asked_at - self._recent[0].asked_at > HISTORY_S:
            self._recent.popleft()

    def _price(self, filled: float, now: float) -> float:
        """Return the lowest rank that is asked while the scarcer bucket is `filled` in [0, 1]."""
        if len(self._recent) < FEWEST or filled >= 1.0:
            return 0.0
        # Half full, spending keeps pace with what flows in; a full bucket lets tokens go to waste.
        affordable = (now - self._recent[0].asked_at) / 60.0 * filled / (1.0 - filled)
        for question in sorted(self._recent, key=lambda each: each.rank, reverse=True):
            affordable -= question.minutes
            if affordable < 0.0:
                return question.rank
        return 0.0
