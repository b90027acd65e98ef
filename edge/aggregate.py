"""Counting expressions and tones over a minute and many faces, for sites whose readings must not leave the device.

What leaves is protected as tables of official statistics are (Hundepool et al. 2012, "Statistical Disclosure Control",
ch. 5): a threshold of k, rounding to the base k, and complementary suppression. docs/privacy.md says what follows from
it and what does not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.header import Headers
from edge.perception.face import FaceWindow
from edge.perception.speech import SpeechWindow
from edge.perception.vad import VOICED_SHARE_MIN
from edge.policy import MIN_AGGREGATE_S, MIN_K
from edge.protocol import Aggregate

EXACT = 1e-6
"""Means are sums of many fractions: a mean of 6 people may come out as 5.9999999."""


class Aggregator:
    """Adds up windows of `window_s` seconds and gives an aggregate of each period of at least `length_s` seconds.

    Periods begin at fixed multiples of their length, so no two overlap and nobody can choose where one begins; a
    period of which a window is missing (mute, restart) is dropped whole. A window counts only if at least `k` faces
    were seen in it. Faces and tones are counted apart. Raises ValueError for bounds under those of the policy.
    """

    def __init__(self, headers: Headers, *, window_s: float, k: int = MIN_K, length_s: float = MIN_AGGREGATE_S) -> None:
        if k < MIN_K or length_s < MIN_AGGREGATE_S:
            raise ValueError(f"aggregates need k >= {MIN_K} and at least {MIN_AGGREGATE_S:g} s")
        self._headers, self._k, self._window_s = headers, k, window_s
        self._windows = math.ceil(length_s / window_s - EXACT)
        self.discard()

    def discard(self) -> None:
        """Forget the period that is running: what was seen before a mute must not come out after it."""
        self._next: int | None = None
        self._faces = 0
        self._voiced = 0
        self._inferred = False
        self._expressions: Counter[str] = Counter()
        self._tones: Counter[str] = Counter()
        self._shares: dict[str, float] = dict.fromkeys(EMOTIONS, 0.0)

    def add(
        self, start_s: float, end_s: float, face: FaceWindow, speech: SpeechWindow, *, inferred: bool
    ) -> Aggregate | None:
        """Add one window; return the aggregate that it completes, if it does.

        `inferred` False: emotions were not inferred, so presence is counted instead.
        """
        number = round(start_s / self._window_s)
        if number != self._next:
            self.discard()
            if number % self._windows:
                return None  # in the middle of a period whose beginning was not seen
        self._next = number + 1
        self._inferred |= inferred
        if face.count >= self._k:
            self._count(face, speech)
        if self._next % self._windows:
            return None
        finished = self._finish(end_s)
        self.discard()
        return finished

    def _count(self, face: FaceWindow, speech: SpeechWindow) -> None:
        self._faces += face.count
        self._voiced += speech.voiced_share is not None and speech.voiced_share >= VOICED_SHARE_MIN
        for probs, share in zip(face.everyone, face.shares, strict=True):
            self._shares[EMOTIONS[int(probs.argmax())]] += share
        if speech.probs is not None:
            self._tones[SPEECH_EMOTIONS[int(speech.probs.argmax())]] += 1

    def _finish(self, end_s: float) -> Aggregate:
        # Each face adds at most 1 to a mean over all windows of the period: a mean of k is made by k people or more.
        means = {label: total / self._windows for label, total in self._shares.items()}
        expressions = protected(means, self._k) if self._inferred else None
        tones = protected({label: self._tones[label] for label in SPEECH_EMOTIONS}, self._k) if self._inferred else None
        faces = None if self._inferred else rounded_down(self._faces / self._windows, self._k) or None
        voiced = None if self._inferred or not faces else rounded_down(self._voiced, self._k)
        return Aggregate(
            **self._headers.next(),
            start_s=round(((self._next or 0) - self._windows) * self._window_s, 3),
            end_s=round(end_s, 3),
            windows=self._windows if expressions or tones or faces else 0,
            k=self._k,
            expressions=expressions,
            tones=tones,
            faces=faces,
            voiced=voiced,
        )


def rounded_down(count: float, base: int) -> int:
    """Return the largest multiple of `base` that is not above `count`."""
    return int((count + EXACT) / base) * base


def protected(counts: Mapping[str, float], k: int) -> dict[str, int] | None:
    """Return what may be published of `counts` (label -> people at a time, or windows), None if that is nothing.

    Counts are rounded down to multiples of `k`; those of 0 are left out, and if that is one label only, the smallest
    other one as well. Which are left out follows from the rounded counts alone.

    >>> protected({"happy": 7, "neutral": 15, "sad": 1}, k=3)
    {'neutral': 15}
    """
    shown = {label: value for label, count in counts.items() if (value := rounded_down(count, k))}
    if len(shown) == len(counts) - 1:
        del shown[min(shown, key=lambda label: shown[label])]
    return shown or None
