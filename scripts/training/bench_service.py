"""A Mosquitto and a `mien-cloud serve` for a bench: started on free ports of this machine, and ended with it."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError
from training.models import ROOT

START_S = 60.0
ENDING = (signal.SIGINT, signal.SIGTERM)
STOP_S = 20.0

BROKER = """\
listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 1000000
max_inflight_messages 1000
user {user}
"""
"""A queue that drops nothing: what is too much for the service is to show as late answers, not as lost ones.

In flight: the service acknowledges a message once it is committed, so no transaction holds more than the broker sends
without an acknowledgement. Mosquitto's own 20 would allow 20 per commit: a few hundred a second.
"""


@dataclass(frozen=True)
class Service:
    """Where both are, and what they have done so far."""

    broker_port: int
    web: str
    pids: dict[str, int]

    def counters(self) -> dict[str, int]:
        """Return the service's counts."""
        with urllib.request.urlopen(f"{self.web}/api/counters", timeout=10) as answer:  # noqa: S310 - our own address
            counts: dict[str, int] = json.load(answer)
            return counts

    def cpu_s(self) -> dict[str, float]:
        """Return the processor time that `service` and `broker` have taken so far, seconds."""
        return {name: _cpu_s(pid) for name, pid in self.pids.items()}


@contextmanager
def running(folder: Path) -> Iterator[Service]:
    """Start both, their files in `folder`; stop both. Raises TrainingError with what they said if one does not start.

    The service is as `mien-cloud serve` starts it, with the shipped models, but asks nobody for a password.
    """
    mosquitto = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if mosquitto is None:
        raise TrainingError("mosquitto is missing: apt-get install mosquitto")
    port, config, ready = _free_port(), folder / "mosquitto.conf", folder / "ready.json"
    config.write_text(BROKER.format(port=port, user=getpass.getuser()), encoding="utf-8")
    service = [
        sys.executable,
        "-m",
        "cloud.cli",
        "serve",
        "--port",
        "0",
        "--no-accounts",
        "--data",
        str(folder / "data"),
    ]
    service += ["--ready-file", str(ready), "--broker", f"mqtt://127.0.0.1:{port}"]
    with (
        _process([mosquitto, "-c", str(config)], folder / "broker.log", lambda: _listens(port)) as broker_pid,
        _process(service, folder / "service.log", ready.exists) as service_pid,
    ):
        web = json.loads(ready.read_text(encoding="utf-8"))["web"]
        yield Service(port, web, {"service": service_pid, "broker": broker_pid})


@contextmanager
def _process(command: list[str], log: Path, is_ready: Callable[[], bool]) -> Iterator[int]:
    """Run a command, yield its process id once `is_ready`, and end it."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with log.open("wb") as output, _signals_wait():
            # In a session of its own: Ctrl-C ends the bench, and the bench ends what it started, in order.
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, start_new_session=True)
        until = time.monotonic() + START_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > until:
                raise TrainingError(f"{' '.join(command[:4])} did not start: {log.read_text(errors='replace')[-500:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        if process is not None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait: what they raise while a process is being made would leave it to nobody."""
    came: list[int] = []
    before = {each: signal.signal(each, lambda number, _: came.append(number)) for each in ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came:
            signal.raise_signal(number)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
