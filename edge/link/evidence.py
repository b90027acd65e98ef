"""Evidence: what one unsure reading gives the cloud to judge, whether it is news, and which answers are waited for."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import BadMessage
from edge.header import Headers
from edge.perception.manifest import ModelEntry
from edge.perception.wire import LOG_MEL_SCALE, pack_crops, pack_log_mel
from edge.protocol import DEFAULT_TTL_MS, Evidence, encode

MAX_CROPS = 8
MAX_NAME = 64
"""Characters of a model's name and version."""

PENDING = 256
"""Requests remembered; older ones are forgotten first, and answers to them count as unknown."""

REPEAT_S = 15.0
"""Seconds for which nearly the same window is not asked about again."""

REPEAT_DISTANCE = 0.05
"""Total variation between two distributions up to which they count as the same: half the L1 distance, in [0, 1]."""

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
    models: Sequence[ModelEntry] = (),
) -> Evidence | None:
    """Return the evidence for a reading, None where there is none to give.

    `crops` are (48, 48) uint8, best first, of which eight go, or as many as fit into MAX_EVIDENCE; `log_mel` is
    (186, 64) float32, normalised; `models` are those that the device runs. What the policy forbids must not be passed
    in. Raises ValueError for other shapes.
    """
    if not len(crops) and log_mel is None:
        return None
    formats = {entry.task: entry.input for entry in models}
    evidence = Evidence(
        **headers.next(),
        reading_id=reading_id,
        ttl_ms=ttl_ms,
        crops=pack_crops(crops[:MAX_CROPS]),
        crop_format=formats.get("face", "gray48"),
        face_quality=face_quality if len(crops) else None,
        log_mel=None if log_mel is None else pack_log_mel(log_mel),
        log_mel_format=formats.get("speech", "logmel64"),
        log_mel_scale=LOG_MEL_SCALE,
        voiced_share=None if log_mel is None else voiced_share,
        models=[f"{entry.name} {entry.version}"[:MAX_NAME] for entry in models],
    )
    while evidence.crops and not _fits(evidence):
        evidence = msgspec.structs.replace(evidence, crops=evidence.crops[:-1])
    return evidence


def _fits(evidence: Evidence) -> bool:
    try:
        encode(evidence)
    except BadMessage:
        return False
    return True


class Repeats:
    """Tells windows that are news from those that repeat the last one asked about: a still face, a steady tone.

    What the models say stands for the window: if no modality's distribution has moved by more than REPEAT_DISTANCE
    within REPEAT_S, the cloud would be shown the same again. It is compared with the last window *asked about*, so a
    slow drift is noticed. Times are seconds of any one clock.
    """

    def __init__(self, *, within_s: float = REPEAT_S, distance: float = REPEAT_DISTANCE) -> None:
        self._within_s, self._distance = within_s, distance
        self._last: dict[str, NDArray[np.float32]] = {}
        self._asked_at = float("-inf")

    def is_repeat(self, distributions: Mapping[str, NDArray[np.float32]], *, now: float) -> bool:
        """Return whether these distributions, by modality, are nearly those of the last window asked about."""
        if now - self._asked_at > self._within_s or distributions.keys() != self._last.keys():
            return False
        moved = (float(np.abs(probs - self._last[name]).sum()) / 2.0 for name, probs in distributions.items())
        return all(distance <= self._distance for distance in moved)

    def asked(self, distributions: Mapping[str, NDArray[np.float32]], *, now: float) -> None:
        """Note that the cloud was asked about this window."""
        self._last, self._asked_at = dict(distributions), now


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
