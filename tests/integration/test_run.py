"""`mien-edge run` as a process: a network camera, a real broker, faults."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import Mosquitto
from link_rig import Subscriber, subscriber
from network_camera import camera

from edge.protocol import Aggregate, Availability, Birth, Event, Health, Reading, decode

MIEN_EDGE = str(Path(sys.executable).parent / "mien-edge")

CONFIG = """\
[site]
name = "school"
mode = "{mode}"
setting = "private"
jurisdiction = "US"
[privacy]
offload = "never"
[device]
name = "room"
[camera]
source = "{camera}"
[window]
length_s = 1.0
[outbox]
folder = "{folder}"
[mqtt]
broker = "{broker}"
"""


@contextmanager
def edge(tmp_path: Path, broker: str, camera_port: int, mode: str = "demo") -> Iterator[subprocess.Popen[str]]:
    config = tmp_path / "edge.toml"
    source = f"http://127.0.0.1:{camera_port}/"
    config.write_text(CONFIG.format(mode=mode, camera=source, folder=tmp_path / "state", broker=broker))
    command = [MIEN_EDGE, "run", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    running = Mosquitto(tmp_path)
    running.start()
    yield running
    running.kill()


def stop(process: subprocess.Popen[str]) -> str:
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert time.monotonic() - started < 8.0
    assert "Traceback" not in log
    return log


def messages(seen: Subscriber, kind: str, struct: type) -> list:
    return [decode(struct, bytes(message.payload)) for message in seen.on(kind)]


def events(seen: Subscriber) -> list[str]:
    return [event.type for event in messages(seen, "event", Event)]


def test_a_device_from_start_to_stop(tmp_path: Path, broker: Mosquitto) -> None:
    with camera() as port, subscriber(broker) as seen, edge(tmp_path, broker.url, port) as process:
        seen.wait_for(lambda: len(seen.on("reading")) >= 4, within_s=30)
        birth = messages(seen, "birth", Birth)[0]
        assert birth.sources == {"camera": "stream"}
        assert {model.name for model in birth.models} == {"face-edge", "speech-edge"}
        readings = messages(seen, "reading", Reading)
        assert [each.faces for each in readings[-2:]] == [1, 1]
        assert readings[-1].face is not None
        assert readings[-1].speech is None
        assert readings[-1].gate in ("sure", "forbidden")
        # A window is closed half a second after its end, so no reading can be quicker, and none waits for another.
        assert all(500.0 <= each.latency_ms < 5000.0 for each in readings)
        assert any(each.sources["camera"].state == "ok" for each in messages(seen, "health", Health))
        stop(process)
        seen.wait_for(lambda: len(seen.on("availability")) >= 2)
        states = [each.state for each in messages(seen, "availability", Availability)]
        assert (states[0], states[-1]) == ("online", "stopped")
        sequence = [each.seq for each in messages(seen, "reading", Reading)]
        assert sequence == sorted(set(sequence))


@pytest.mark.slow
def test_a_camera_that_goes_away_is_reported_and_reopened(tmp_path: Path, broker: Mosquitto) -> None:
    with camera() as port:
        pass  # a port that nothing listens on now
    with subscriber(broker) as seen, edge(tmp_path, broker.url, port) as process:
        seen.wait_for(lambda: "camera-down" in events(seen), within_s=30)
        with camera(port):
            seen.wait_for(lambda: "camera-ok" in events(seen), within_s=40)
            seen.wait_for(lambda: any(each.faces for each in messages(seen, "reading", Reading)))
        seen.wait_for(lambda: events(seen)[-1] == "camera-down", within_s=40)
        with camera(port):
            seen.wait_for(lambda: events(seen).count("camera-ok") == 2, within_s=40)
        stop(process)


@pytest.mark.slow
def test_without_a_broker_the_device_works_and_delivers_later(tmp_path: Path, broker: Mosquitto) -> None:
    broker.kill()
    with camera() as port, edge(tmp_path, broker.url, port) as process:
        time.sleep(7.0)
        broker.start()
        with subscriber(broker) as seen:
            seen.wait_for(lambda: len(seen.on("reading")) >= 6, within_s=60)
            readings = messages(seen, "reading", Reading)
            ids = [each.id for each in readings]
            assert len(ids) == len(set(ids))
            assert min(each.start_s for each in readings) < 3.0
            stop(process)


def test_a_classroom_publishes_no_readings(tmp_path: Path, broker: Mosquitto) -> None:
    with camera() as port, subscriber(broker) as seen, edge(tmp_path, broker.url, port, "classroom") as process:
        seen.wait_for(lambda: seen.on("health"), within_s=30)
        time.sleep(4.0)
        stop(process)
        assert not any(seen.on(kind) for kind in ("reading", "evidence"))
        assert all(each.expressions is None for each in messages(seen, "aggregate", Aggregate))


@pytest.mark.slow
def test_mode_off_opens_no_camera(tmp_path: Path, broker: Mosquitto) -> None:
    with camera() as port, subscriber(broker) as seen, edge(tmp_path, broker.url, port, "off") as process:
        seen.wait_for(lambda: len(seen.on("health")) >= 1, within_s=30)
        time.sleep(3.0)
        stop(process)
        assert "camera-ok" not in events(seen)
        assert seen.on("reading") == []
