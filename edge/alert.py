"""When to raise the local alert. Pure: times come with the readings."""

from __future__ import annotations

from edge.protocol import Reading
from edge.settings import AlertSettings

SLACK_S = 1e-3
"""Times of readings are rounded to milliseconds."""


class AlertRule:
    """Says of each reading whether the alert goes off with it.

    It does if the emotions of the rule together had at least `level` in every window for `duration_s` seconds without
    a gap, and the last alert is `repeat_s` seconds back. A window without a face and a voice ends the stretch.
    `raised_s`: when in the session's time the last alert was, with an earlier rule, None: never.
    """

    def __init__(self, settings: AlertSettings, *, raised_s: float | None = None) -> None:
        self._settings = settings
        self._emotions = settings.emotions.split(",") if settings.emotions else []
        self._since_s: float | None = None
        self._until_s = 0.0
        self._raised_s = raised_s

    @property
    def raised_s(self) -> float | None:
        """Seconds of the session's time at which the last alert went off, None: none yet."""
        return self._raised_s

    def reset(self) -> None:
        """Begin anew, as after a mute; the time of the last alert stands."""
        self._since_s = None

    def see(self, reading: Reading) -> bool:
        """Take the next reading and return whether to raise the alert."""
        if not self._emotions or not self._holds(reading):
            self._since_s = None
            return False
        if self._since_s is None or reading.start_s > self._until_s + SLACK_S:
            self._since_s = reading.start_s
        self._until_s = reading.end_s
        if reading.end_s - self._since_s < self._settings.duration_s - SLACK_S:
            return False
        if self._raised_s is not None and reading.end_s - self._raised_s < self._settings.repeat_s - SLACK_S:
            return False
        self._raised_s = reading.end_s
        return True

    def _holds(self, reading: Reading) -> bool:
        judged = {"fused": reading.fused, "face": reading.face, "speech": reading.speech}[self._settings.source]
        if judged is None:
            return False
        return sum(judged.probs.get(emotion, 0.0) for emotion in self._emotions) >= self._settings.level
