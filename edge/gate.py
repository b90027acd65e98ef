"""Sure enough? Allowed? Is the cloud there? Is there budget? Pure: the time is passed in.

The threshold is not a magic number: training chooses it on a calibration split so that readings kept on the device err
at most at a stated rate (edge/perception/manifest.py, `Gate`). Where no threshold reaches that rate every reading is
unsure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.protocol import GateReason

BREAKER_FAILURES = 3
BREAKER_OPEN_S = 60.0


@dataclass(frozen=True)
class Decision:
    """What the gate says of one reading."""

    reason: GateReason
    threshold: float | None


class TokenBucket:
    """Allows `per_minute` units on average and as many at once."""

    def __init__(self, per_minute: float) -> None:
        self._per_minute = per_minute
        self._level = per_minute
        self._at: float | None = None

    def level(self, now: float) -> float:
        """Return the units there are at `now` (monotonic seconds)."""
        if self._at is not None:
            self._level = min(self._per_minute, self._level + max(0.0, now - self._at) * self._per_minute / 60.0)
        self._at = now
        return self._level

    def take(self, units: float) -> None:
        """Spend `units`; the caller has asked `level` before."""
        self._level -= units


class Gate:
    """Decides for each reading whether the device keeps it or asks the cloud.

    `thresholds` maps a set of modalities ("face", "speech", "face+speech") to the confidence that counts as sure, None
    where none does. The budget is in requests and bytes per minute. After three requests in a row without an answer
    the breaker opens and the gate says `cloud-away` for a minute.
    """

    def __init__(
        self, thresholds: Mapping[str, float | None], *, requests_per_minute: float, bytes_per_minute: float
    ) -> None:
        self._thresholds = thresholds
        self._requests = TokenBucket(requests_per_minute)
        self._bytes = TokenBucket(bytes_per_minute)
        self._failures = 0
        self._open_until = float("-inf")

    def decide(
        self, confidence: float | None, modalities: str, *, evidence_bytes: int, cloud_present: bool, now: float
    ) -> Decision:
        """Return the decision for a reading of `confidence` made from `modalities` ("" with None: nothing perceived).

        `evidence_bytes` is the size of what the policy lets go to the cloud, 0 = nothing. `now` is monotonic seconds.
        A window in which nothing was perceived is kept: there is nothing to ask about. `requested` spends budget.
        """
        threshold = self._thresholds.get(modalities)
        if confidence is None or (threshold is not None and confidence >= threshold):
            return Decision("sure", threshold)
        if evidence_bytes == 0:
            return Decision("forbidden", threshold)
        if not cloud_present or now < self._open_until:
            return Decision("cloud-away", threshold)
        if self._requests.level(now) < 1.0 or self._bytes.level(now) < evidence_bytes:
            return Decision("over-budget", threshold)
        self._requests.take(1.0)
        self._bytes.take(evidence_bytes)
        return Decision("requested", threshold)

    def answered(self) -> None:
        """Note that a request was answered in time: the breaker closes."""
        self._failures = 0

    def unanswered(self, now: float) -> None:
        """Note that a request got no answer within its deadline."""
        self._failures += 1
        if self._failures >= BREAKER_FAILURES:
            self._failures = 0
            self._open_until = now + BREAKER_OPEN_S
