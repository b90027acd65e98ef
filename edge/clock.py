"""Time and identity: the only module that asks the operating system what time it is.

Durations come from the monotonic clock, which NTP never sets back. The wall clock is only for people: on a Raspberry
Pi, which has no clock that runs without power, it is wrong until the network has set it, and `synced` says so.
"""

from __future__ import annotations

import ctypes
import time
import uuid
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from ulid import ULID

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STA_UNSYNC = 0x40
"""Bit of `timex.status`: nobody disciplines the clock (adjtimex(2))."""


class Clock(Protocol):
    """What the rest of Mien knows of time."""

    def monotonic(self) -> float:
        """Return seconds since some moment of this boot; never goes back."""

    def wall(self) -> float:
        """Return Unix time in seconds, right or wrong."""

    def synced(self) -> bool:
        """Return whether the wall clock is known to be right."""

    def boot_id(self) -> str:
        """Return what tells this boot from others: monotonic times of two boots cannot be compared."""


class SystemClock:
    """The clock of this machine. `time.monotonic` is CLOCK_MONOTONIC, which processes of one boot share."""

    def monotonic(self) -> float:
        """Return seconds since the machine was started."""
        return time.monotonic()

    def wall(self) -> float:
        """Return Unix time in seconds."""
        return time.time()

    def synced(self) -> bool:
        """Return whether the kernel says that NTP holds the clock; False where it does not tell.

        systemd-timesyncd, chrony and ntpd all clear STA_UNSYNC; the kernel sets it again after about nine hours
        without a time server, when its estimated error passes 16 s.
        """
        return _kernel_synced()

    def boot_id(self) -> str:
        """Return the kernel's random number of this boot, or of this process where there is none."""
        return _boot_id()


class FakeClock:
    """A clock for tests and simulations that stands still until it is told to `advance`."""

    def __init__(
        self, *, monotonic: float = 1000.0, wall: float = 1_700_000_000.0, synced: bool = True, boot: str = "boot-1"
    ) -> None:
        self._monotonic, self._wall, self._synced, self._boot = monotonic, wall, synced, boot

    def monotonic(self) -> float:
        """Return the monotonic seconds as they were set."""
        return self._monotonic

    def wall(self) -> float:
        """Return the wall clock's seconds as they were set."""
        return self._wall

    def synced(self) -> bool:
        """Return what was set."""
        return self._synced

    def boot_id(self) -> str:
        """Return what was set."""
        return self._boot

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self._monotonic += seconds
        self._wall += seconds

    def synchronise(self, wall: float) -> None:
        """Set the wall clock right, as NTP does."""
        self._wall, self._synced = wall, True

    def reboot(self, *, boot: str, synced: bool, wall: float) -> None:
        """Begin another boot: monotonic time starts anew."""
        self._monotonic, self._boot, self._synced, self._wall = 0.0, boot, synced, wall


def new_id() -> str:
    """Return a new ULID: 26 characters that sort by the millisecond they were made in."""
    return str(ULID())


class _Timex(ctypes.Structure):
    """`struct timex` of linux/timex.h up to `status`, padded beyond its true end."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def _kernel_synced() -> bool:
    call = _adjtimex()
    state = _Timex()  # modes 0: asks and sets nothing, so it needs no privilege
    return call is not None and call(ctypes.byref(state)) >= 0 and not state.status & STA_UNSYNC


@lru_cache(maxsize=1)
def _adjtimex() -> ctypes._NamedFuncPointer | None:
    return getattr(ctypes.CDLL(None), "adjtimex", None)


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return str(uuid.uuid4())
