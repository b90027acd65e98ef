"""Evidence: what one unsure reading gives the cloud to judge, and which answers are still waited for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.header import Headers
from edge.perception.wire import LOG_MEL_SCALE, pack_crops, pack_log_mel
from edge.protocol import DEFAULT_TTL_MS, Evidence

MAX_CROPS = 8
PENDING = 256
"""Requests remembered; older ones are forgotten first, and answers to them count as unknown."""

Answer = Literal["in time", "late", "unknown"]


def build_evidence(
    headers: Headers,
    *,
    reading_id: str,
    crops: Sequence[NDArray[np.uint8]],
    face_quality: float | None,
    log_mel: NDArray[np.float32] | None,
    voiced_share: float | None,
    ttl_ms: int = DEFAULT_TTL_MS,
    models: Sequence[str] = (),
) -> Evidence | None:
    """Return the evidence for a reading, None where there is none to give.

    `crops` are (48, 48) uint8, best first, of which eight go; `log_mel` is (186, 64) float32, normalised. What the
    policy forbids must not be passed in. Raises ValueError for other shapes.
    """
    if not len(crops) and log_mel is None:
        return None
    return Evidence(
        **headers.next(),
        reading_id=reading_id,
        ttl_ms=ttl_ms,
        crops=pack_crops(crops[:MAX_CROPS]),
        face_quality=face_quality if len(crops) else None,
        log_mel=None if log_mel is None else pack_log_mel(log_mel),
        log_mel_scale=LOG_MEL_SCALE,
        voiced_share=None if log_mel is None else voiced_share,
        models=list(models),
    )


class Pending:
    """The requests that wait for an answer, by reading id. Times are monotonic seconds. Safe to share."""

    def __init__(self, *, limit: int = PENDING) -> None:
        self._limit = limit
        self._deadlines: dict[str, float] = {}
        self._lock = threading.Lock()

    def asked(self, reading_id: str, *, ttl_ms: int, now: float) -> None:
        """Note that a request went out at `now` and its answer is of use for `ttl_ms` milliseconds."""
        with self._lock:
            self._deadlines[reading_id] = now + ttl_ms / 1000.0
            while len(self._deadlines) > self._limit:
                del self._deadlines[next(iter(self._deadlines))]

    def answered(self, reading_id: str, *, now: float) -> Answer:
        """Return what an answer that came at `now` is worth; a second answer to one request is unknown."""
        with self._lock:
            deadline = self._deadlines.pop(reading_id, None)
        if deadline is None:
            return "unknown"
        return "in time" if now <= deadline else "late"

    def waiting(self, *, now: float) -> int:
        """Return how many answers are still of use."""
        with self._lock:
            return sum(1 for deadline in self._deadlines.values() if now <= deadline)
