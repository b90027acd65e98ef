"""The recording light and other GPIO lines: gpiozero itself on its mock pins, and lgpio where there are no pins."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from edge.capture.base import FrameSource
from edge.capture.fakes import FakeCamera, FakeMicrophone
from edge.clock import SystemClock
from edge.errors import CaptureError, GpioError, SourceMissing
from edge.gpio import FakeOutput, GpioOutput, GpioSwitch
from edge.indicator import Indicator, lit
from edge.supervise import SourceWorker

IMAGE = np.zeros((48, 64), np.uint8)


def test_the_light_is_lit_before_the_camera_opens_and_dark_after_it_closed() -> None:
    light = FakeOutput()
    seen: list[bool] = []

    class Camera(FakeCamera):
        def __init__(self) -> None:
            seen.append(light.lit)
            super().__init__([IMAGE])

        def close(self) -> None:
            seen.append(light.lit)
            super().close()

    with lit(Camera, Indicator(light))() as source:
        assert source.read(1.0) is not None
        assert light.lit
    assert seen == [True, True]
    assert not light.lit


def test_the_light_stays_lit_until_the_last_device_is_closed() -> None:
    light = FakeOutput()
    indicator = Indicator(light)
    camera = lit(lambda: FakeCamera([IMAGE]), indicator)()
    microphone = lit(lambda: FakeMicrophone(np.zeros(1600, np.float32)), indicator)()
    camera.close()
    camera.close()
    assert light.lit
    microphone.close()
    assert not light.lit


def test_a_camera_that_cannot_be_opened_leaves_the_light_dark() -> None:
    def absent() -> FrameSource:
        raise SourceMissing("no camera")

    light = FakeOutput()
    with pytest.raises(SourceMissing):
        lit(absent, Indicator(light))()
    assert light.times_lit == 1
    assert not light.lit


def test_without_its_light_the_camera_is_not_opened_and_the_source_says_why() -> None:
    opened: list[int] = []
    told: list[str] = []
    down = threading.Event()

    def changed(name: str, state: str, error: str) -> None:
        told.append(f"{name} {state} {error}")
        down.set()

    def camera() -> FrameSource:
        opened.append(1)
        return FakeCamera([IMAGE])

    worker = SourceWorker(
        "camera",
        lit(camera, Indicator(GpioOutput(17))),  # the real lgpio, and no such chip
        keep=1,
        allowed=lambda: True,
        on_change=changed,
        clock=SystemClock(),
        ready=threading.Event(),
    )
    worker.start()
    assert down.wait(10.0)
    worker.stop(5.0)
    assert opened == []
    assert "camera down the recording light fails" in told[0]
    assert "GPIO 17" in told[0]


@pytest.mark.skipif(any(Path("/dev").glob("gpiochip*")), reason="this machine has GPIO lines")
def test_lines_that_are_not_there_are_errors_that_say_what_to_do() -> None:
    with pytest.raises(GpioError, match=r"GPIO 5 cannot be driven.*python3-lgpio"):
        GpioOutput(5).on()
    with pytest.raises(GpioError, match="GPIO 6 cannot be read"):
        GpioSwitch(6).closed()
    with pytest.raises(CaptureError, match="nothing is opened"):
        Indicator(GpioOutput(5)).opening()


@pytest.mark.parametrize("active_high", [True, False])
def test_an_output_drives_its_pin(active_high: bool) -> None:
    factory = MockFactory()
    output = GpioOutput(17, active_high=active_high, factory=factory)
    output.on()
    assert factory.pin(17).state == active_high
    output.off()
    assert factory.pin(17).state != active_high


@pytest.mark.parametrize("active_high", [True, False])
def test_a_switch_is_off_while_nothing_is_connected(active_high: bool) -> None:
    factory = MockFactory()
    switch = GpioSwitch(27, active_high=active_high, factory=factory)
    assert not switch.closed()
    pin = factory.pin(27)
    pin.drive_high() if active_high else pin.drive_low()
    assert switch.closed()
