"""Whether the daemon runs. If it does, its camera, microphone and broker session are left to it.

A second client of its name would push it off the broker. So systemd is asked, and the processes are looked through
for a `mien-edge run` with the same settings, also one that was started by hand.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.config import DEFAULT_PATH
from edge.doctor.report import Finding

UNIT = "mien-edge.service"
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "StatusText",
    "NRestarts",
    "MainPID",
    "User",
    "SupplementaryGroups",
    "Result",
)
SYSTEMCTL_S = 5.0
PROC = Path("/proc")


@dataclass(frozen=True)
class Daemon:
    """What was found of the daemon."""

    pid: int | None = None
    """Of the running daemon; None: none was found."""
    unit: dict[str, str] = field(default_factory=dict)
    """Properties of the systemd unit; empty where there is no systemd, or no such unit."""


def find_daemon(config: Path) -> Daemon:
    """Return the state of the daemon that has these settings. Asks, and changes nothing."""
    unit = _unit()
    pid = _process(config)
    main = int(unit.get("MainPID", "0") or 0)
    if pid is None and main and unit.get("ActiveState") in ("active", "reloading") and _same(PROC / str(main), config):
        pid = main
    return Daemon(pid, unit)


def check_daemon(daemon: Daemon) -> Finding:
    """Say how the service does."""
    unit = daemon.unit
    detail = {"pid": daemon.pid, **{key: unit[key] for key in PROPERTIES if key in unit}}
    status = f" {unit['StatusText']}" if unit.get("StatusText") else ""
    restarts = int(unit.get("NRestarts", "0") or 0)
    look = f"journalctl -u {UNIT} -n 50 says why"
    if unit.get("ActiveState") == "failed":
        what = f"the service has failed ({unit.get('Result', 'no reason given')})"
        return Finding("fail", what, f"{look}; then systemctl restart {UNIT}", detail)
    if daemon.pid is None:
        if not unit:
            return Finding("skip", "not running, and not installed as a service", detail=detail)
        return Finding("warn", f"the service is {unit['ActiveState']}", f"systemctl enable --now {UNIT}", detail)
    if restarts:
        return Finding("warn", f"running (pid {daemon.pid}), restarted {restarts} times.{status}", f"{look}.", detail)
    return Finding("ok", f"running (pid {daemon.pid}).{status}", detail=detail)


def _unit() -> dict[str, str]:
    command = ["systemctl", "show", UNIT, f"--property={','.join(PROPERTIES)}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SYSTEMCTL_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return found if found.get("LoadState") == "loaded" else {}


def _process(config: Path) -> int | None:
    for folder in PROC.glob("[0-9]*"):
        if int(folder.name) != os.getpid() and _same(folder, config):
            return int(folder.name)
    return None


def _same(folder: Path, config: Path) -> bool:
    """Tell whether this process is a daemon with these settings; one whose folder is hidden from us counts as such."""
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    named = _named_config(words)
    if named is None:
        return False
    try:
        at = folder / "cwd"
        return (at.readlink() / named).resolve() == config.resolve()
    except OSError:
        return not named.is_absolute() or named == config.resolve()


def _named_config(words: Sequence[str]) -> Path | None:
    """Return the settings' file in the command line of a `mien-edge run`, None for another command."""
    for place, word in enumerate(words[:-1]):
        if Path(word).name == "mien-edge" or word == "edge.cli" or word.endswith("edge/cli.py"):
            rest = list(words[place + 1 :])
            if next((each for each in rest if not each.startswith("-")), "") != "run":
                return None
            for number, each in enumerate(rest):
                if each == "--config" and number + 1 < len(rest):
                    return Path(rest[number + 1])
                if each.startswith("--config="):
                    return Path(each.partition("=")[2])
            return DEFAULT_PATH
    return None
