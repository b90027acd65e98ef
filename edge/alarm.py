"""The local alert at work: the rule of edge/alert.py, a line that is switched on, a tone that is played."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.alert import AlertRule
from edge.errors import MienError, SourceMissing
from edge.gpio import GpioOutput, Output
from edge.policy import Permissions
from edge.protocol import Reading
from edge.quiet import native_stderr_silenced
from edge.settings import AlertSettings

log = logging.getLogger(__name__)

TONE_HZ = 880.0
TONE_RATE = 48_000
TONE_LEVEL = 0.5
RAMP_S = 0.02
"""The tone swells and fades this long: a hard edge clicks."""

Actuator = Callable[[], None]
"""Does its thing once and returns when it is over. Raises MienError if it cannot."""


class Alarm:
    """Watches the readings of this device and lets the actuators answer, each in a thread of its own.

    Nothing waits for it, an actuator that is still at it is not started twice, and one that fails is logged. `closers`
    are called by `close`.
    """

    def __init__(
        self, rule: AlertRule, actuators: Sequence[Actuator], *, closers: Sequence[Callable[[], None]] = ()
    ) -> None:
        self._rule, self._closers = rule, closers
        self._actuators = [(actuator, threading.Lock()) for actuator in actuators]

    def see(self, reading: Reading, allowed: Permissions) -> bool:
        """Take the next reading and what the policy says of it; return whether the alert went off."""
        if not allowed.local_alert:
            self._rule.reset()
            return False
        if not self._rule.see(reading):
            return False
        for actuator, busy in self._actuators:
            threading.Thread(target=_run, args=(actuator, busy), name="alert", daemon=True).start()
        return True

    @property
    def raised_s(self) -> float | None:
        """Seconds of the session's time at which the last alert went off, None: none yet."""
        return self._rule.raised_s

    def close(self) -> None:
        """End a pulse at once and give its line back: the alarm of the next settings may want the same one."""
        for closer in self._closers:
            closer()


def make_alarm(settings: AlertSettings, *, raised_s: float | None = None) -> Alarm:
    """Return the alarm of the configuration; without emotions it never goes off. `raised_s`: see `AlertRule`."""
    actuators: list[Actuator] = []
    closers = []
    if settings.pin is not None:
        pulse = Pulse(GpioOutput(settings.pin, active_high=settings.active_high), settings.length_s)
        actuators.append(pulse)
        closers.append(pulse.close)
    if settings.sound:
        actuators.append(lambda: play_tone(settings.card, settings.length_s))
    return Alarm(AlertRule(settings, raised_s=raised_s), actuators, closers=closers)


class Pulse:
    """Switches `output` on for `length_s` seconds when it is called, or until it is closed. It raises GpioError."""

    def __init__(self, output: Output, length_s: float) -> None:
        self._output, self._length_s = output, length_s
        self._closed = threading.Event()
        self._at_work = threading.Lock()

    def __call__(self) -> None:
        """Do it, and return when it is over."""
        with self._at_work:
            if self._closed.is_set():
                return
            try:
                self._output.on()
                self._closed.wait(self._length_s)
            finally:
                self._output.off()

    def close(self) -> None:
        """Switch off at once, for good, and give the line back."""
        self._closed.set()
        with self._at_work:
            self._output.close()


def tone(length_s: float) -> NDArray[np.float32]:
    """Return the sound of the alert, (N,) at 48 kHz in [-1, 1]."""
    time_s = np.arange(round(length_s * TONE_RATE)) / TONE_RATE
    ramp = np.minimum(1.0, np.minimum(time_s, length_s - time_s) / RAMP_S)
    return np.asarray(TONE_LEVEL * ramp * np.sin(2.0 * np.pi * TONE_HZ * time_s), np.float32)


def play_tone(card: str, length_s: float) -> None:
    """Play the tone on the card whose name contains `card`, "" = the default one; return when it is over.

    Raises SourceMissing if there is no PyAudio, no such card, or it refuses.
    """
    try:
        pyaudio = importlib.import_module("pyaudio")
    except ImportError as error:
        raise SourceMissing("PyAudio is not installed", fix="apt install python3-pyaudio") from error
    try:
        with native_stderr_silenced():
            audio = pyaudio.PyAudio()
        try:
            stream = audio.open(
                rate=TONE_RATE,
                channels=1,
                format=pyaudio.paFloat32,
                output=True,
                output_device_index=_card_index(audio, card),
            )
            stream.write(tone(length_s).tobytes())
            stream.stop_stream()
            stream.close()
        finally:
            audio.terminate()
    except OSError as error:
        raise SourceMissing(f"the alert cannot be played: {error}", fix="Check alert.card and the volume.") from error


def _card_index(audio: Any, card: str) -> int | None:
    if not card:
        return None
    for index in range(audio.get_device_count()):
        info = audio.get_device_info_by_index(index)
        if info["maxOutputChannels"] > 0 and card.lower() in str(info["name"]).lower():
            return index
    raise SourceMissing(f"no card that plays is called {card!r}", fix="Check alert.card; `aplay -L` names the cards.")


def _run(actuator: Actuator, busy: threading.Lock) -> None:
    if not busy.acquire(blocking=False):
        return
    try:
        actuator()
    except MienError as error:
        log.warning("the local alert failed: %s", error)
    finally:
        busy.release()
