"""Real brokers for the tests: Mosquitto and amqtt, each a process of its own on a free port."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

WAIT_S = 15.0
BROKER = Path(sys.executable).with_name("amqtt")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], object], *, within_s: float = WAIT_S, what: str = "") -> None:
    """Poll what gives no event, such as the state of another process. Fails if it does not come true."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, f"not within {within_s:g} s: {what or condition}"
        time.sleep(0.01)


class Process:
    """A broker in a process of its own that can be killed and started again on the same port."""

    def __init__(self, *command: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._listens)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask it to end, so that it saves its state."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def reload(self) -> None:
        """Let it read its files again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the broker did not start"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True


class Mosquitto(Process):
    """A Mosquitto with these further lines in its configuration."""

    def __init__(self, folder: Path, *lines: str, port: int | None = None) -> None:
        binary = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert binary is not None, "mosquitto is missing; scripts/test installs it (apt-get install mosquitto)"
        config = folder / "mosquitto.conf"
        super().__init__(binary, "-c", str(config), port=port)
        anonymous = [] if any(line.startswith("allow_anonymous") for line in lines) else ["allow_anonymous true"]
        # Not 0, "no limit": with that Mosquitto 2.0.11 hangs up on every client whose publish its access rules refuse.
        first = [f"listener {self.port} 127.0.0.1", "max_queued_messages 1000000", f"user {getpass.getuser()}"]
        config.write_text("\n".join([*first, *anonymous, *lines]) + "\n")


class Amqtt(Process):
    """amqtt's own broker, as its users run it."""

    def __init__(self, folder: Path) -> None:
        config = folder / "amqtt.yaml"
        super().__init__(str(BROKER), "-c", str(config))
        config.write_text(
            f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{self.port}\n"
            "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
        )
