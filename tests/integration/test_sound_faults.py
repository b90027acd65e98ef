"""Microphones that go away: pulled out, suspended, their sound server frozen or killed, while the camera goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sound_server import PATIENCE_S, SoundServer, sound_server

WATCH = """
import sys, threading, time
import numpy as np
from functools import partial
from edge.capture.fakes import FakeCamera
from edge.capture.microphone import open_microphone
from edge.clock import SystemClock
from edge import supervise
supervise.STALLED_AFTER_S = 1.0
supervise.READ_TIMEOUT_S = 0.2

frames = partial(FakeCamera, [np.zeros((4, 4), np.uint8)], fps=20.0, realtime=True)
workers = [
    supervise.SourceWorker(name, opener, keep=1, allowed=lambda: True, clock=SystemClock(), ready=threading.Event(),
                           on_change=lambda *change: print(*change[:2], flush=True))
    for name, opener in (("microphone", partial(open_microphone, "test_microphone")), ("camera", frames))
]
for worker in workers:
    worker.start()
for line in sys.stdin:
    pass
for worker in workers:
    worker.stop(2.0)
"""


class Watch:
    """A camera and the microphone under supervision, in a process of their own."""

    def __init__(self, server: SoundServer) -> None:
        self._process = server.python(WATCH)
        self.said: list[str] = []

    def wait_for(self, line: str) -> None:
        assert self._process.stdout is not None
        for said in self._process.stdout:
            self.said.append(said.strip())
            if said.strip() == line:
                return
        pytest.fail(f"it ended without {line!r}: {self.said}")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def end(self) -> None:
        self.said += self._process.communicate(timeout=PATIENCE_S)[0].splitlines()
        assert self.said.count("camera ok") == 1
        assert not [line for line in self.said if line.startswith("camera") and line != "camera ok"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SoundServer]:
    with sound_server(tmp_path) as running:
        yield running


@pytest.fixture
def watch(server: SoundServer) -> Iterator[Watch]:
    watching = Watch(server)
    watching.wait_for("microphone ok")
    yield watching
    watching.kill()


def test_a_microphone_pulled_out_and_put_back_is_opened_again(server: SoundServer, watch: Watch) -> None:
    server.unplug()
    watch.wait_for("microphone down")
    server.plug()
    watch.wait_for("microphone ok")
    watch.end()


@pytest.mark.slow
def test_a_suspended_microphone_gives_nothing_and_goes_on_when_it_is_resumed(server: SoundServer, watch: Watch) -> None:
    server.control("suspend-source", "microphone", "1")
    watch.wait_for("microphone degraded")
    watch.wait_for("microphone down")
    server.control("suspend-source", "microphone", "0")
    watch.wait_for("microphone ok")
    watch.end()


@pytest.mark.slow
def test_a_sound_server_that_is_killed_and_started_anew_is_found_again(server: SoundServer, watch: Watch) -> None:
    server.kill()
    watch.wait_for("microphone down")
    server.start()
    watch.wait_for("microphone ok")
    watch.end()


@pytest.mark.slow
def test_a_sound_server_that_freezes_is_noticed_and_survived(server: SoundServer, watch: Watch) -> None:
    server.process.send_signal(signal.SIGSTOP)
    watch.wait_for("microphone degraded")
    watch.wait_for("microphone down")
    server.process.send_signal(signal.SIGCONT)
    watch.wait_for("microphone ok")
    watch.end()
