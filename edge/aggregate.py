"""Counting expressions and tones over a minute and many faces, for sites whose readings must not leave the device."""

from __future__ import annotations

from collections import Counter

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.header import Headers
from edge.perception.face import FaceWindow
from edge.perception.speech import SpeechWindow
from edge.policy import MIN_AGGREGATE_S, MIN_K
from edge.protocol import Aggregate


class Aggregator:
    """Adds up windows and gives an aggregate whenever at least `length_s` seconds of them are complete.

    A window counts only if at least `k` faces were seen in it, else a count could be one person's. Faces and tones are
    counted apart. Raises ValueError for bounds under those of the policy.
    """

    def __init__(self, headers: Headers, *, k: int = MIN_K, length_s: float = MIN_AGGREGATE_S) -> None:
        if k < MIN_K or length_s < MIN_AGGREGATE_S:
            raise ValueError(f"aggregates need k >= {MIN_K} and at least {MIN_AGGREGATE_S:g} s")
        self._headers, self._k, self._length_s = headers, k, length_s
        self._clear()

    def _clear(self) -> None:
        self._start_s: float | None = None
        self._windows = 0
        self._counted = 0
        self._expressions: Counter[str] = Counter()
        self._tones: Counter[str] = Counter()

    def add(self, start_s: float, end_s: float, face: FaceWindow, speech: SpeechWindow) -> Aggregate | None:
        """Add one window; return the aggregate that it completes, if it does."""
        if self._start_s is None:
            self._start_s = start_s
        self._windows += 1
        if face.count >= self._k:
            self._counted += 1
            self._expressions.update(EMOTIONS[int(probs.argmax())] for probs in face.everyone)
            if speech.probs is not None:
                self._tones[SPEECH_EMOTIONS[int(speech.probs.argmax())]] += 1
        if end_s - self._start_s < self._length_s:
            return None
        finished = self._finish(self._start_s, end_s)
        self._clear()
        return finished

    def _finish(self, start_s: float, end_s: float) -> Aggregate:
        published = self._counted > 0
        return Aggregate(
            **self._headers.next(),
            start_s=start_s,
            end_s=end_s,
            windows=self._counted,
            k=self._k,
            expressions={label: self._expressions[label] for label in EMOTIONS} if published else None,
            tones={label: self._tones[label] for label in SPEECH_EMOTIONS} if published else None,
        )
