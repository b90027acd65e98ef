"""GPIO lines by gpiozero on lgpio, imported late: neither is there off a Raspberry Pi. Pins are BCM numbers."""

from __future__ import annotations

import importlib
import os
import tempfile
import threading
from functools import lru_cache
from typing import Any, Protocol

from edge.errors import GpioError

FIX = "Check the wiring, the group gpio, and that python3-gpiozero and python3-lgpio are installed."


class Output(Protocol):
    """A line that is driven: a light, a buzzer, a relay. `on` and `off` raise GpioError where that fails."""

    def on(self) -> None:
        """Switch it on."""

    def off(self) -> None:
        """Switch it off."""

    def close(self) -> None:
        """Give the line back, off, so that another output may claim it; using this one again claims it anew."""


class Switch(Protocol):
    """A line that is read."""

    def closed(self) -> bool:
        """Return whether the switch is on. Raises GpioError where it cannot be read."""


class FakeOutput:
    """An output for tests: remembers what it was told, and fails if `broken`."""

    def __init__(self) -> None:
        self.lit = False
        self.times_lit = 0
        self.broken = False

    def on(self) -> None:
        """See `Output`."""
        self._check()
        self.lit = True
        self.times_lit += 1

    def off(self) -> None:
        """See `Output`."""
        self._check()
        self.lit = False

    def close(self) -> None:
        """See `Output`."""
        self.lit = False

    def _check(self) -> None:
        if self.broken:
            raise GpioError("the fake output is broken")


class FakeSwitch:
    """A switch for tests."""

    def __init__(self, *, on: bool = False) -> None:
        self.on = on
        self.broken = False

    def closed(self) -> bool:
        """See `Switch`."""
        if self.broken:
            raise GpioError("the fake switch is broken")
        return self.on


class GpioOutput:
    """An output on a Pi's header. The line is claimed when it is first used, off, and kept until `close` or the end.

    `factory` makes gpiozero's pins; None: lgpio's.
    """

    def __init__(self, pin: int, *, active_high: bool = True, factory: Any = None) -> None:
        self._pin, self._active_high, self._factory = pin, active_high, factory
        self._device: Any = None

    def on(self) -> None:
        """See `Output`."""
        self._drive("on")

    def off(self) -> None:
        """See `Output`."""
        self._drive("off")

    def close(self) -> None:
        """See `Output`."""
        if self._device is not None:
            self._device.close()
            self._device = None

    def _drive(self, method: str) -> None:
        try:
            if self._device is None:
                gpiozero = _gpiozero()
                self._device = gpiozero.DigitalOutputDevice(
                    self._pin, active_high=self._active_high, pin_factory=self._factory or _lgpio_factory()
                )
            getattr(self._device, method)()
        except Exception as error:  # gpiozero and lgpio have no common base, and libraries of C raise anything
            raise GpioError(f"GPIO {self._pin} cannot be driven: {error}", fix=FIX) from error


class GpioSwitch:
    """A switch on a Pi's header, with the Pi's own resistor pulling it to the inactive level."""

    def __init__(self, pin: int, *, active_high: bool = False, factory: Any = None) -> None:
        self._pin, self._active_high, self._factory = pin, active_high, factory
        self._device: Any = None
        self._lock = threading.Lock()  # all source workers ask

    def closed(self) -> bool:
        """See `Switch`."""
        try:
            with self._lock:
                if self._device is None:
                    gpiozero = _gpiozero()
                    self._device = gpiozero.DigitalInputDevice(
                        self._pin, pull_up=not self._active_high, pin_factory=self._factory or _lgpio_factory()
                    )
                return bool(self._device.is_active)
        except Exception as error:  # as above
            raise GpioError(f"GPIO {self._pin} cannot be read: {error}", fix=FIX) from error


def _gpiozero() -> Any:
    # lgpio makes a pipe in the working directory when imported, which a service may not write.
    os.environ.setdefault("LG_WD", tempfile.gettempdir())
    return importlib.import_module("gpiozero")


@lru_cache(maxsize=1)
def _lgpio_factory() -> Any:
    # Named, because gpiozero would else fall back to drivers that need root or poke at memory.
    return importlib.import_module("gpiozero.pins.lgpio").LGPIOFactory()
