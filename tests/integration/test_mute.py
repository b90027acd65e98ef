"""Muting over a real broker: it closes the camera, outlives a restart, and only the device itself takes it back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from brokers import Mosquitto
from golden import GOLDEN
from link_rig import subscriber
from test_run import camera, edge, messages, stop

from edge.cli import main
from edge.protocol import Command, Event, Reply

TOPIC = "mien/v1/school/room/command/mute"


@pytest.mark.slow
def test_a_mute_from_the_cloud_outlives_a_restart(tmp_path: Path) -> None:
    command = GOLDEN["command"]
    assert isinstance(command, Command)
    broker = Mosquitto(tmp_path)
    broker.start()
    try:
        with camera() as port, subscriber(broker) as seen:
            with edge(tmp_path, broker.url, port) as process:
                seen.wait_for(lambda: seen.on("reading"), within_s=30)
                seen.publish(TOPIC, msgspec.structs.replace(command, verb="mute"))
                seen.wait_for(lambda: messages(seen, "reply", Reply))
                assert messages(seen, "reply", Reply)[0].text == "devices closed until unmuted at the device"
                seen.wait_for(lambda: "policy-changed" in [each.type for each in messages(seen, "event", Event)])
                stop(process)
            read = len(seen.on("reading"))
            births = len(seen.on("birth"))
            with edge(tmp_path, broker.url, port) as process:
                seen.wait_for(lambda: len(seen.on("birth")) > births, within_s=30)
                seen.wait_for(lambda: seen.on("health")[-1:] and len(seen.on("reading")) == read)
                assert main(["unmute", "--config", str(tmp_path / "edge.toml")]) == 0
                seen.wait_for(lambda: len(seen.on("reading")) > read, within_s=30)
                log = stop(process)
                assert "muted by a command: devices closed" in log
    finally:
        broker.kill()
