"""When a rule holds, and what follows from it. Pure: readings, health reports and the time are passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

from cloud.errors import AlertError
from edge.emotions import EMOTIONS, SPEECH_EMOTIONS

View = Mapping[str, Any]
Kind = Literal["expression", "lost", "down", "temperature", "disk"]
Modalities = Literal["together", "face", "speech", "both"]

MOST_DURATION_S = 3600.0
MOST_REPEAT_S = 7 * 86_400.0
READING_GAP_S = 10.0
"""A longer silence between two readings ends what held: three windows and a bit."""

HEALTH_GAP_S = 150.0
"""The same between two health reports, of which one comes a minute."""

CLEAR_AFTER_S = 15.0
"""Seconds for which a rule must not hold before its alert is cleared: one window in between clears nothing."""

_DAY_MIN = 24 * 60


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What to look out for at a site. Raises AlertError if it could never hold, or always would.

    `expression`: the emotions' probabilities together reach `threshold` (0 to 1) in the readings of `modalities`, for
    `duration_s` without another reading that says otherwise. `temperature`: reaches `threshold` (degrees Celsius).
    `lost`: the connection broke, or nothing was heard. `down`: a camera or microphone is. `disk`: messages are given up
    because the disk or the outbox is full.
    """

    name: str
    kind: Kind
    device: str | None = None
    """None: every device of the site."""
    emotions: tuple[str, ...] = ()
    threshold: float = 0.6
    modalities: Modalities = "together"
    """`both`: face and voice must say so, each by itself."""
    count_unsure: bool = False
    """Whether readings count of which neither the device was sure nor the cloud has judged."""
    duration_s: float = 30.0
    repeat_s: float = 600.0
    """While it holds, tell again so often (0: never); and what holds again within this time is the same alert."""
    quiet: str = ""
    """"22:00-06:00": nothing is told then, but what still holds at the end of it is."""
    zone: str = "UTC"
    """Time zone of the quiet hours, e.g. Europe/Berlin."""

    def __post_init__(self) -> None:
        known = SPEECH_EMOTIONS if self.modalities == "speech" else EMOTIONS
        if self.kind == "expression":
            if not self.emotions or not set(self.emotions) < set(known):
                raise AlertError("a rule names some of the emotions", fix=f"Choose from {', '.join(known)}.")
            if not 0.0 < self.threshold <= 1.0:
                raise AlertError("a threshold is a probability", fix="Give more than 0 and at most 1.")
        if self.kind == "temperature" and not 0.0 < self.threshold <= 150.0:
            raise AlertError("a temperature is in degrees Celsius", fix="Give 1 to 150, e.g. 80.")
        if not 0.0 <= self.duration_s <= MOST_DURATION_S or not 0.0 <= self.repeat_s <= MOST_REPEAT_S:
            raise AlertError("a rule has to hold for 0 to 3600 s, and repeats within 7 days", fix="Give less.")
        quiet_minutes(self.quiet)


@dataclass(frozen=True)
class Sample:
    """What one stored message says of a rule."""

    at: float
    """Unix seconds of its end."""
    length_s: float
    holds: bool | None
    """None: it says nothing of it, e.g. nobody was there."""
    value: float | None = None


@dataclass(frozen=True)
class Holding:
    """A rule that has held for its duration and holds now."""

    since: float
    last: float
    value: float | None = None


@dataclass(frozen=True)
class AlertState:
    """What is known of the last alert of a rule at a device. Times in Unix seconds."""

    last_held_at: float
    notified_at: float | None = None
    acknowledged: bool = False
    cleared_at: float | None = None


class Step(Enum):
    """What has to be done about an alert."""

    RAISE = auto()
    REOPEN = auto()
    HOLD = auto()
    CLEAR = auto()
    TELL = auto()
    TELL_CLEARED = auto()


def expression_samples(rule: Rule, readings: Iterable[View]) -> list[Sample]:
    """Return what readings, as /api/readings shows them, say of an expression rule."""
    samples = []
    for reading in readings:
        verdict = reading["verdict"]
        judged = verdict if verdict is not None and verdict["status"] == "ok" else None
        best = {name: (judged and judged[name]) or reading[name] for name in ("face", "speech")}
        wanted = {"together": [reading["final"]], "both": [best["face"], best["speech"]]}
        parts = wanted.get(rule.modalities) or [best[rule.modalities]]
        value, holds = None, None
        if None not in parts:
            value = min(sum(part["probs"].get(emotion, 0.0) for emotion in rule.emotions) for part in parts)
            if rule.count_unsure or reading["gate"] == "sure" or judged is not None:
                holds = value >= rule.threshold
        samples.append(Sample(reading["at"], reading["end_s"] - reading["start_s"], holds, value))
    return samples


def health_samples(rule: Rule, reports: Sequence[View]) -> list[Sample]:
    """Return what health reports (columns of the table `health`, oldest first) say of a health rule."""
    samples = []
    for number, report in enumerate(reports):
        holds, value = None, None
        if rule.kind == "temperature":
            value = report["temperature_c"]
            holds = None if value is None else value >= rule.threshold
        elif rule.kind == "down":
            holds, value = report["down"] > 0, float(report["down"])
        elif rule.kind == "disk":
            before = reports[number - 1] if number else None
            comparable = before is not None and before["session"] == report["session"]
            dropped = report["outbox_dropped"] - (before["outbox_dropped"] if before and comparable else 0)
            # Of the first report nobody knows when it dropped what it has dropped.
            holds, value = (dropped > 0 if before is not None else None), float(dropped)
        samples.append(Sample(report["at"], 0.0, holds, value))
    return samples


def running(samples: Iterable[Sample], *, duration_s: float, gap_s: float, now: float) -> Holding | None:
    """Return since when a rule has held without a break up to `now`, if that is for its duration; else None."""
    run: list[Sample] = []
    for sample in sorted(samples, key=lambda one: one.at, reverse=True):
        if sample.holds is None:
            continue
        if not sample.holds or (run[-1].at if run else now) - sample.at > gap_s:
            break
        run.append(sample)
    if not run:
        return None
    since, last = run[-1].at - run[-1].length_s, run[0].at
    return Holding(since, last, run[0].value) if last - since >= duration_s else None


def lost(rule: Rule, device: View, *, now: float) -> Holding | None:
    """Return since when a device is lost: its connection broke, or it has been silent though it did not say goodbye."""
    if device["availability"] == "stopped":
        return None
    since = float(device["last_seen"]) + HEALTH_GAP_S
    if device["availability"] == "lost" and device["availability_at"] is not None:
        since = float(device["availability_at"])
    return Holding(since, now) if now - since >= rule.duration_s else None


def decide(rule: Rule, alert: AlertState | None, holding: Holding | None, *, now: float, minute: int) -> list[Step]:
    """Return what to do about the last alert of a rule at a device. `minute` of the day in the rule's zone."""
    is_quiet = in_quiet_hours(rule.quiet, minute)
    is_open = alert is not None and alert.cleared_at is None
    if holding is None:
        if alert is None or not is_open or now - alert.last_held_at < CLEAR_AFTER_S:
            return []
        return [Step.CLEAR] if is_quiet or alert.notified_at is None else [Step.CLEAR, Step.TELL_CLEARED]
    if alert is None or (alert.cleared_at is not None and now - alert.cleared_at >= rule.repeat_s):
        return [Step.RAISE] if is_quiet else [Step.RAISE, Step.TELL]
    steps = [Step.HOLD if is_open else Step.REOPEN]
    due = alert.notified_at is None or 0 < rule.repeat_s <= now - alert.notified_at
    if due and not is_quiet and not alert.acknowledged:
        steps.append(Step.TELL)
    return steps


def quiet_minutes(text: str) -> tuple[int, int] | None:
    """Return begin and end of quiet hours in minutes of the day; None if there are none. Raises AlertError."""
    if not text:
        return None
    try:
        first, last = (hour * 60 + minute for hour, minute in (map(int, part.split(":")) for part in text.split("-")))
    except ValueError as error:
        raise AlertError(f"{text!r} are no quiet hours", fix="Write 22:00-06:00.") from error
    if not (0 <= first < _DAY_MIN and 0 <= last < _DAY_MIN) or first == last:
        raise AlertError(f"{text!r} are no quiet hours", fix="Write 22:00-06:00.")
    return first, last


def in_quiet_hours(text: str, minute: int) -> bool:
    """Say whether a minute of the day lies in the quiet hours, which may go over midnight."""
    hours = quiet_minutes(text)
    if hours is None:
        return False
    first, last = hours
    return first <= minute < last if first < last else minute >= first or minute < last


def describe(rule: Rule, value: float | None) -> str:
    """Say in one sentence what was found."""
    if rule.kind == "expression":
        where = {
            "together": "expression and tone",
            "face": "expression",
            "speech": "vocal tone",
            "both": "face and voice",
        }
        share = "" if value is None else f" {value:.0%} likely"
        return f"{where[rule.modalities]} {' or '.join(rule.emotions)}{share}, for {rule.duration_s:g} s or longer"
    said = {
        "lost": "the device is not heard any more",
        "down": "a camera or microphone is down",
        "temperature": f"{value or 0:.0f} °C, at least {rule.threshold:g}",
        "disk": "the device gives messages up: its disk or its outbox is full",
    }
    return said[rule.kind]
