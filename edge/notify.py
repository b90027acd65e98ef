"""Telling systemd how the service does: ready, reloading, stopping, alive, and one line for `systemctl status`.

By systemd-python, which apt brings to a Pi and which is imported only where systemd listens. See sd_notify(3).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping

from edge.errors import ConfigError

log = logging.getLogger(__name__)

Send = Callable[[str], object]


class Notifier:
    """Sends to the service manager; harmless where there is none, as on a terminal.

    Raises ConfigError if systemd waits for a word and systemd-python is not there to say it.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, *, send: Send | None = None) -> None:
        self._send = send or _sender(environment)
        self.watchdog_s = _watchdog_s(environment)
        """Within how many seconds `alive` must be called; None: nobody watches."""
        self._status = ""
        self._fed_at = 0.0

    def ready(self, status: str) -> None:
        """Say that the service works: after its start, and after a reload."""
        self._status = status
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Say that the settings are being read again; `ready` ends it. systemd >= 253 needs the time of it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS=reading the settings again")
        self._status = ""

    def stopping(self) -> None:
        """Say that the service ends by itself or was asked to."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def status(self, text: str) -> None:
        """Set the line of `systemctl status`; said only when it changes."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self, now: float) -> None:
        """Feed the watchdog, four times as often as it wants; `now` in monotonic seconds."""
        if self.watchdog_s is not None and now - self._fed_at >= self.watchdog_s / 4.0:
            self._fed_at = now
            self._send("WATCHDOG=1")


def _sender(environment: Mapping[str, str]) -> Send:
    if "NOTIFY_SOCKET" not in environment:
        return lambda _: None
    try:
        from systemd.daemon import notify
    except ImportError as error:
        raise ConfigError(
            "systemd waits to be told that the service is ready, but systemd-python cannot be imported",
            fix="apt install python3-systemd, and make the environment with --system-site-packages.",
        ) from error
    return notify  # type: ignore[no-any-return]


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Return the watchdog's time, as sd_watchdog_enabled(3) reads it: systemd-python does not give it."""
    time_us, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not time_us.isdecimal() or int(time_us) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(time_us) / 1e6
