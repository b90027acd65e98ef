"""The daemon as systemd's service: promises of its workers, what it tells systemd, what a reload means."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from edge.clock import FakeClock
from edge.config import load_config
from edge.errors import CaptureError, ConfigError
from edge.link.outbox import Outbox
from edge.link.session import Link
from edge.notify import Notifier
from edge.progress import Progress
from edge.reload import plan_reload
from edge.settings import Config
from edge.supervise import BACKOFF_FIRST_S, OPEN_LIMIT_S, PAUSE_LIMIT_S, Opener, SourceWorker

SETTINGS = """\
[site]
name = "school"
mode = "demo"
setting = "private"
jurisdiction = "US"
[privacy]
offload = "never"
[device]
name = "room"
[mqtt]
broker = "mqtt://user:secret@broker.example"
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "edge.toml"
    path.write_text(SETTINGS)
    return load_config(path, {})


def test_a_promise_is_broken_only_once_its_time_is_over() -> None:
    clock = FakeClock()
    progress = Progress(clock)
    heart = progress.heart("camera")
    clock.advance(1000.0)
    assert progress.stuck() == {}, "nothing was promised yet"
    heart.beat(5.0)
    clock.advance(5.0)
    assert progress.stuck() == {}
    clock.advance(2.0)
    assert progress.stuck() == {"camera": 2.0}
    heart.beat(5.0)
    assert progress.stuck() == {}


def watched(opener: Opener, clock: FakeClock, progress: Progress) -> tuple[SourceWorker, threading.Event]:
    """Return a started worker and what is set once it has reported a failure."""
    failed = threading.Event()
    worker = SourceWorker(
        "camera",
        opener,
        keep=1,
        allowed=lambda: True,
        on_change=lambda *_: failed.set(),
        clock=clock,
        ready=threading.Event(),
        heart=progress.heart("camera"),
    )
    worker.start()
    return worker, failed


def test_a_driver_that_hangs_while_opening_is_no_progress() -> None:
    clock = FakeClock()
    progress, opening, release = Progress(clock), threading.Event(), threading.Event()

    def opener() -> None:
        opening.set()
        release.wait()
        raise CaptureError("released")

    worker, _ = watched(opener, clock, progress)
    assert opening.wait(10.0)
    clock.advance(OPEN_LIMIT_S)
    assert progress.stuck() == {}
    clock.advance(1.0)
    assert "camera" in progress.stuck()
    worker.end()
    release.set()
    worker.stop(10.0)
    assert progress.stuck() == {}


def test_waiting_to_open_a_device_again_is_progress() -> None:
    clock = FakeClock()
    progress = Progress(clock)

    def opener() -> None:
        raise CaptureError("unplugged")

    worker, failed = watched(opener, clock, progress)
    assert failed.wait(10.0)
    clock.advance(BACKOFF_FIRST_S + PAUSE_LIMIT_S - 0.1)
    assert progress.stuck() == {}
    worker.stop(10.0)


def test_the_links_threads_are_watched(tmp_path: Path) -> None:
    clock = FakeClock()
    progress = Progress(clock)
    link = Link(
        broker="mqtt://127.0.0.1:1",
        site="school",
        device="room",
        session=1,
        outbox=Outbox(tmp_path / "outbox.sqlite", clock=clock),
        clock=clock,
        birth=None,
        on_verdict=lambda _: None,
        on_command=lambda _: None,
        progress=progress,
    )
    assert progress.stuck() == {}
    promised = {name: threading.Event() for name in ("link", "outbox")}
    for name, event in promised.items():
        heart = progress._hearts[name]
        beat = heart.beat
        heart.beat = lambda within_s, beat=beat, event=event: (beat(within_s), event.set())
    link.start()
    assert all(event.wait(10.0) for event in promised.values())
    link.stop(1.0)
    clock.advance(10_000.0)
    assert progress.stuck() == {}, "what was stopped promises nothing"


def test_systemd_is_told_as_sd_notify_has_it() -> None:
    sent: list[str] = []
    environment = {"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(environment, send=sent.append)
    notifier.ready("fine")
    notifier.status("fine")
    notifier.status("worse")
    for now in (100.0, 101.0, 102.0, 103.0):
        notifier.alive(now)
    notifier.reloading()
    notifier.stopping()
    assert sent[:4] == ["READY=1\nSTATUS=fine", "STATUS=worse", "WATCHDOG=1", "WATCHDOG=1"]
    fields = dict(line.split("=") for line in sent[4].splitlines())
    assert fields["RELOADING"] == "1"
    assert int(fields["MONOTONIC_USEC"]) > 0
    assert sent[5].startswith("STOPPING=1")


def test_the_watchdog_of_another_process_is_not_ours_to_feed() -> None:
    sent: list[str] = []
    notifier = Notifier({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"}, send=sent.append)
    notifier.alive(100.0)
    assert sent == []


def test_a_service_that_could_never_say_ready_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    with pytest.raises(ConfigError, match="python3-systemd"):
        Notifier({"NOTIFY_SOCKET": "/run/systemd/notify"})


def test_a_reload_takes_effect_but_for_what_the_link_and_the_models_need(config: Config) -> None:
    new = msgspec.structs.replace(
        config,
        site=msgspec.structs.replace(config.site, mode="off", name="other"),
        window=msgspec.structs.replace(config.window, length_s=5.0),
        mqtt=msgspec.structs.replace(config.mqtt, broker="mqtt://user:hidden@elsewhere.example"),
    )
    plan = plan_reload(config, new)
    assert plan.live == ("site.mode", "window.length_s")
    assert plan.restart == ("site.name", "mqtt.broker")
    assert (plan.config.site.mode, plan.config.site.name) == ("off", "school")
    assert plan.config.window.length_s == 5.0
    assert plan.config.mqtt == config.mqtt
    assert "secret" not in str(plan)
    assert "hidden" not in str(plan)


def test_settings_that_cannot_be_used_end_with_their_own_exit_status(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge.cli", "run", "--config", str(tmp_path / "none.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert "none.toml" in done.stderr


def test_the_daemon_needs_nothing_that_a_device_does_not_have() -> None:
    # PyAV decodes clips; it is no dependency of a device.
    code = "import sys; sys.modules['av'] = None; import edge.commands.run, edge.commands.check, edge.commands.doctor"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
