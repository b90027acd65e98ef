"""The local alert: when it goes off, and what it does then."""

from __future__ import annotations

import itertools
import logging
import threading
import time

import msgspec
import numpy as np
import pytest
from golden import GOLDEN
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st
from sample import moving_portrait

from edge.alarm import TONE_HZ, TONE_RATE, Alarm, Pulse, make_alarm, tone
from edge.alert import AlertRule
from edge.assemble import load_models
from edge.capture.fakes import FakeCamera
from edge.clock import SystemClock
from edge.config import build_config
from edge.connect import Connection
from edge.daemon import Daemon
from edge.emotions import EMOTIONS
from edge.errors import GpioError
from edge.gpio import FakeOutput, GpioOutput
from edge.mute import Mute
from edge.policy import Permissions
from edge.protocol import Reading, distribution
from edge.settings import AlertSettings, Config, ModelSettings

RULE = AlertSettings(emotions="angry,fear", level=0.6, duration_s=9.0, repeat_s=30.0, sound=False)
ALLOWED = Permissions(local_alert=True)


def reading(number: int, probability: float | None) -> Reading:
    """Window `number` of 3 s; `probability` of angry and fear together, None: nothing was perceived."""
    golden = GOLDEN["reading"]
    assert isinstance(golden, Reading)
    fused = None
    if probability is not None:
        rest = (1.0 - probability) / 5
        probs = [probability / 2 if emotion in ("angry", "fear") else rest for emotion in EMOTIONS]
        fused = distribution(EMOTIONS, probs)
    return msgspec.structs.replace(golden, start_s=3.0 * number, end_s=3.0 * number + 3.0, fused=fused)


def alerts(probabilities: list[float | None], rule: AlertSettings = RULE) -> list[int]:
    alert = AlertRule(rule)
    return [number for number, each in enumerate(probabilities) if alert.see(reading(number, each))]


def test_it_goes_off_once_the_level_has_lasted_and_again_after_the_pause() -> None:
    assert alerts([0.9] * 14) == [2, 12]


@pytest.mark.parametrize("gap", [0.5, None])
def test_a_window_that_says_otherwise_or_nothing_begins_anew(gap: float | None) -> None:
    assert alerts([0.9, 0.9, gap, 0.9, 0.9]) == []
    assert alerts([0.9, 0.9, gap, 0.9, 0.9, 0.9]) == [5]


def test_windows_that_were_never_made_count_as_a_gap() -> None:
    alert = AlertRule(RULE)
    assert not any(alert.see(reading(number, 0.9)) for number in (0, 1, 5, 6))
    assert alert.see(reading(7, 0.9))


def test_an_empty_rule_never_goes_off() -> None:
    assert alerts([1.0] * 10, AlertSettings(level=0.0, duration_s=0.0)) == []


def test_the_rule_may_look_at_the_voice_alone() -> None:
    spoken = msgspec.structs.replace(reading(0, None), speech=distribution(["angry", "calm"], [0.8, 0.2]))
    rule = AlertSettings(emotions="angry", source="speech", duration_s=3.0)
    assert AlertRule(rule).see(spoken)
    assert not AlertRule(msgspec.structs.replace(rule, source="face")).see(spoken)


@given(st.lists(st.one_of(st.none(), st.floats(0.0, 1.0)), max_size=60))
def test_alerts_never_come_sooner_than_the_pause_nor_without_a_whole_stretch(values: list[float | None]) -> None:
    raised = alerts(values)
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(raised))
    for number in raised:
        assert all(value is not None and value >= 0.6 - 1e-4 for value in values[number - 2 : number + 1])


def test_where_the_policy_forbids_it_there_is_none_and_the_stretch_is_forgotten() -> None:
    alarm = Alarm(AlertRule(RULE), [])
    forbidden = Permissions()
    assert [alarm.see(reading(n, 0.9), ALLOWED) for n in (0, 1)] == [False, False]
    assert not alarm.see(reading(2, 0.9), forbidden)
    assert [alarm.see(reading(n, 0.9), ALLOWED) for n in (3, 4, 5)] == [False, False, True]


def test_the_pause_outlasts_a_reload() -> None:
    before = make_alarm(RULE)
    assert [before.see(reading(n, 0.9), ALLOWED) for n in range(3)] == [False, False, True]
    assert before.raised_s == 9.0
    after = make_alarm(RULE, raised_s=before.raised_s)
    assert [n for n in range(3, 16) if after.see(reading(n, 0.9), ALLOWED)] == [12]


def test_every_actuator_answers_and_one_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    rang = threading.Event()

    def broken() -> None:
        raise GpioError("the buzzer is gone")

    alarm = Alarm(AlertRule(msgspec.structs.replace(RULE, duration_s=0.0)), [broken, rang.set])
    with caplog.at_level(logging.WARNING):
        assert alarm.see(reading(0, 0.9), ALLOWED)
        assert rang.wait(10.0)
        for thread in threading.enumerate():
            if thread.name == "alert":
                thread.join(10.0)
    assert "the buzzer is gone" in caplog.text


def test_a_pulse_switches_a_pin_on_and_off() -> None:
    factory = MockFactory()
    states: list[bool] = []
    pin = factory.pin(5)
    output = GpioOutput(5, factory=factory)
    output.off()
    switch = Pulse(output, 0.05)
    thread = threading.Thread(target=switch)
    thread.start()
    while thread.is_alive():
        states.append(bool(pin.state))
    assert True in states
    assert not pin.state


def test_a_pulse_that_is_closed_ends_at_once_and_none_comes_after_it() -> None:
    light = FakeOutput()
    pulse = Pulse(light, 600.0)
    thread = threading.Thread(target=pulse)
    thread.start()
    while not light.lit:
        assert thread.is_alive()
    pulse.close()
    thread.join(10.0)
    assert not thread.is_alive()
    pulse()
    assert (light.times_lit, light.lit) == (1, False)


def test_the_tone_has_its_pitch_and_no_clicks() -> None:
    sound = tone(0.5)
    spectrum = np.abs(np.fft.rfft(sound))
    assert spectrum.argmax() * TONE_RATE / len(sound) == pytest.approx(TONE_HZ, abs=3.0)
    assert abs(sound[0]) < 0.01
    assert abs(sound[-1]) < 0.01
    assert np.abs(sound).max() <= 0.5


def test_the_configuration_names_what_answers() -> None:
    assert len(make_alarm(AlertSettings(pin=5))._actuators) == 2
    assert len(make_alarm(AlertSettings(sound=False))._actuators) == 0


def vehicle(level: float) -> Config:
    """Every emotion counts, so that whatever face is seen raises the alert; the pulse outlasts the test."""
    values = {
        "site": {"name": "fleet", "mode": "vehicle", "setting": "private", "jurisdiction": "US"},
        "privacy": {"offload": "never"},
        "device": {"name": "car"},
        "window": {"length_s": 1.0},
        "outbox": {"folder": ""},
        "alert": {"emotions": ",".join(EMOTIONS), "source": "face", "level": level, "duration_s": 0.0}
        | {"pin": 5, "sound": False, "length_s": 10.0, "repeat_s": 8.0},
    }
    return build_config(values, environment={})


@pytest.mark.slow
def test_a_vehicle_without_a_network_switches_its_pin_also_after_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon with no broker, on a fake camera; after a reload another one drives the same pin, in its time."""
    factory, clock = MockFactory(), SystemClock()
    monkeypatch.setattr("edge.gpio._lgpio_factory", lambda: factory)
    models, portrait = load_models(ModelSettings()), np.asarray(moving_portrait()[0][:, :, ::-1])
    daemons = []  # kept: the pin must be free without the garbage collector's help
    before = None
    for level in (0.1, 0.2):
        config = vehicle(level)
        connection = Connection(config, clock=clock)
        daemon = Daemon(
            config,
            models,
            outlet=connection,
            headers=connection.headers,
            clock=clock,
            camera=lambda: FakeCamera([portrait], realtime=True),
            microphone=None,
            mute=Mute(None),
            outbox_state=connection.outbox_state,
            before=before,
        )
        daemons.append(daemon)
        thread = threading.Thread(target=daemon.run)
        thread.start()
        until = time.monotonic() + 60.0
        while not factory.pin(5).state and time.monotonic() < until:
            time.sleep(0.01)
        raised = bool(factory.pin(5).state)
        daemon.stop()
        thread.join(30.0)
        connection.stop(1.0)
        assert raised
        assert not factory.pin(5).state
        if before is not None:
            assert daemon.last_alert_s - before.last_alert_s >= 8.0 - 1e-3, "repeat_s, although the daemon is another"
        before = daemon
