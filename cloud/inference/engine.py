"""Inference behind one interface: a request goes in, and a judgement comes out or a reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from cloud.inference.full import Judgement
from edge.errors import MienError
from edge.protocol import Evidence

MAX_WAITING = 64
"""Requests that an engine takes in beyond those at work. More would only grow stale: beyond it, it is `busy`."""

MAX_BATCH = 16
BATCH_WAIT_S = 0.003
"""Seconds for which an idle engine waits for company to a request: a window's verdict has seconds, a batch gains ms."""

Reason = Literal["busy", "stale", "malformed", "failed"]


@dataclass(frozen=True)
class Request:
    """One piece of evidence to be judged."""

    evidence: Evidence
    deadline: float
    """Monotonic seconds of this process after which no answer is of use."""


class Declined(MienError):
    """An engine does not judge a request. `reason` stands in the verdict."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(what)
        self.reason: Reason = reason


class Engine(Protocol):
    """Where the full-size models run. It batches what arrives together; each answer is the one it would be alone."""

    @property
    def inputs(self) -> dict[str, str]:
        """What the model of each task takes, as in the manifest, e.g. {"face": "gray48", "speech": "logmel64"}."""

    async def infer(self, request: Request) -> Judgement:
        """Return the judgement. Raises Declined.

        `busy` at once where too many wait, `stale` where the deadline passed before the request's turn came,
        `malformed` where its pictures are damaged, `failed` where the models did.
        """

    async def run(self) -> None:
        """Work until cancelled. Raises what ends the engine before."""

    def close(self) -> None:
        """Let go of everything. Call it after `run` has been cancelled."""
