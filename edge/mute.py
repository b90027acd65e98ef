"""Muting: camera and microphone closed by a switch, by a command at the device, or from the cloud.

The two commands leave a file behind, so that a restart does not open what somebody closed. Only `mien-edge unmute`, at
the device, removes it; while the switch is on, nothing does.
"""

from __future__ import annotations

import logging
from pathlib import Path

from edge.errors import GpioError, PolicyError
from edge.gpio import Switch

log = logging.getLogger(__name__)

FILE = "muted"


def mute_file(folder: str) -> Path | None:
    """Return the file whose presence mutes, None where the device keeps no state (`outbox.folder` empty)."""
    return Path(folder) / FILE if folder else None


class Mute:
    """Whether, and by whom, the device is muted. In doubt it is. Safe to share."""

    def __init__(self, file: Path | None, switch: Switch | None = None) -> None:
        self._file, self._switch = file, switch
        self._in_memory = False

    def why(self) -> str:
        """Return in words why the device is muted now, "" if it is not."""
        if self._switch is not None:
            try:
                if self._switch.closed():
                    return "muted by the switch"
            except GpioError as error:
                return f"muted, as its switch cannot be read ({error})"
        if self._in_memory:
            return "muted by a command"
        return "muted by a command" if self._file is not None and _exists(self._file) else ""

    def set(self) -> bool:
        """Mute; return whether that will outlive a restart."""
        if self._file is None:
            self._in_memory = True
            return False
        try:
            write(self._file)
        except PolicyError as error:
            log.warning("%s", error)
            self._in_memory = True
            return False
        return True


def write(file: Path) -> None:
    """Leave the file that mutes. Raises PolicyError if it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        raise PolicyError(f"{file} cannot be written: {error.strerror}", fix="Run it as root.") from error


def remove(file: Path) -> bool:
    """Remove the file that mutes; return whether it was there. Raises PolicyError if it cannot be removed."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise PolicyError(f"{file} cannot be removed: {error.strerror}", fix="Run it as root.") from error
    return True


def _exists(file: Path) -> bool:
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # it may be there
    return True
