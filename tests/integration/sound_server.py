"""A PulseAudio for the tests: a loudspeaker that nobody hears, a microphone that hears it, faults on demand."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import eventually

ASOUNDRC = """
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.test_microphone { type pulse device microphone }
"""

PATIENCE_S = 120.0
"""A busy machine takes long to import what listens."""


class SoundServer:
    """A PulseAudio on a socket in `folder`. `sound` says what its card is like, as module-null-sink has it.

    Who listens must be a child process with `environment`: ALSA reads its configuration only once per process.
    """

    def __init__(self, folder: Path, sound: str) -> None:
        self._card = [
            f"module-null-sink sink_name=loudspeaker {sound}",
            "module-remap-source master=loudspeaker.monitor source_name=microphone",
        ]
        (folder / ".asoundrc").write_text(ASOUNDRC)
        self._socket = folder / "pulse.sock"
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_SERVER": f"unix:{self._socket}",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }
        modules = [
            f"module-native-protocol-unix socket={self._socket} auth-anonymous=1",
            *self._card,
        ]
        self._loads = [word for module in modules for word in ("-L", module)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", *self._loads],
            env={name: value for name, value in self.environment.items() if name != "PULSE_SERVER"},
            stderr=subprocess.DEVNULL,
        )
        eventually(self._is_up, what="pulseaudio did not open its socket")

    def unplug(self) -> None:
        """Take the card away. All of it: what listens to a part would be moved to the rest."""
        for module in reversed(self._card):
            self.control("unload-module", module.split()[0])

    def plug(self) -> None:
        for module in self._card:
            self.control("load-module", *module.split())

    def control(self, *words: str) -> None:
        subprocess.run(["pactl", *words], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def play(self, path: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["paplay", "--device=loudspeaker", str(path)], env=self.environment)

    def python(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Run code that listens."""
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10.0)
        self._socket.unlink(missing_ok=True)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10.0)

    def _is_up(self) -> bool:
        assert self.process.poll() is None, "pulseaudio ended at once"
        return self._socket.exists()


@contextmanager
def sound_server(folder: Path, sound: str = "rate=48000") -> Iterator[SoundServer]:
    for program in ("pulseaudio", "paplay", "pactl"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: apt-get install pulseaudio pulseaudio-utils libasound2-plugins")
    if importlib.util.find_spec("pyaudio") is None:
        pytest.fail("PyAudio is missing: apt-get install portaudio19-dev, then pip install pyaudio")
    running = SoundServer(folder, sound)
    try:
        yield running
    finally:
        running.stop()
