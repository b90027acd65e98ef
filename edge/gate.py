"""Sure enough? Allowed? Is the cloud there? Is it worth the budget? Pure: the time is passed in.

The threshold is not a magic number: it is chosen on a calibration split so that readings kept on the device err at
most at a stated rate (edge/perception/manifest.py, `Gate`). Where no threshold reaches that rate every reading is
unsure. The confidence that it is given is the window's own, before the filter over time, in the emotion that is
published (edge/pipeline.py): thresholds are chosen for single windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.budget import Budget
from edge.protocol import GateReason

BREAKER_FAILURES = 3
BREAKER_OPEN_S = 60.0


@dataclass(frozen=True)
class Decision:
    """What the gate says of one reading."""

    reason: GateReason
    threshold: float | None


class Gate:
    """Decides for each reading whether the device keeps it or asks the cloud.

    `thresholds` maps a set of modalities ("face", "speech", "face+speech") to the confidence that counts as sure, None
    where none does; `worths` maps it to what asking is worth at a confidence, 1 - confidence where it is not named. The
    budget is in requests and bytes per minute. After three requests in a row without an answer the breaker opens and
    the gate says `cloud-away` for a minute.
    """

    def __init__(
        self,
        thresholds: Mapping[str, float | None],
        *,
        requests_per_minute: float,
        bytes_per_minute: float,
        worths: Mapping[str, Callable[[float], float]] | None = None,
    ) -> None:
        self._thresholds = thresholds
        self._worths = worths or {}
        self._budget = Budget(requests_per_minute=requests_per_minute, bytes_per_minute=bytes_per_minute)
        self._failures = 0
        self._open_until = float("-inf")

    def decide(
        self,
        confidence: float | None,
        modalities: str,
        *,
        evidence_bytes: int,
        cloud_present: bool,
        now: float,
        repeated: bool = False,
    ) -> Decision:
        """Return the decision for a reading of `confidence` made from `modalities` ("" with None: nothing perceived).

        `evidence_bytes` is the size of what the policy lets go to the cloud, 0 = nothing. `now` is monotonic seconds.
        A window in which nothing was perceived is kept: there is nothing to ask about. `requested` spends budget;
        `over-budget` are also those that the budget is too small for because others are worth more, and a window that
        is `repeated`, nearly the same as one just asked about, is not worth any.
        """
        threshold = self._thresholds.get(modalities)
        if confidence is None or (threshold is not None and confidence >= threshold):
            return Decision("sure", threshold)
        if evidence_bytes == 0:
            return Decision("forbidden", threshold)
        if not cloud_present or now < self._open_until:
            return Decision("cloud-away", threshold)
        worth = self._worths[modalities](confidence) if modalities in self._worths else 1.0 - confidence
        if repeated or not self._budget.buys(worth, evidence_bytes, now):
            return Decision("over-budget", threshold)
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
