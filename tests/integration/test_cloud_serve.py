"""`mien-cloud serve` as a process: how it stops, what it remembers. Refusals to start: tests/cloud/test_cli.py."""

import signal
import socket
import sqlite3
import time

import httpx
import msgspec
import pytest
from cloud_messages import availability, evidence, head, health, reading
from cloud_models import write_models
from cloud_service import CloudProcess, Device, accepts
from websockets.sync.client import connect

from edge.protocol import Verdict, decode


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return str(write_models(tmp_path_factory.mktemp("models")))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully(number, tmp_path, models):
    with CloudProcess(tmp_path, "--models", models) as cloud, Device(cloud.broker_port) as device:
        device.publish("availability", availability(), retain=True)
        assert msgspec.json.decode(device.hear("availability"))["state"] == "online"
        sent = reading()
        device.publish("reading", sent)
        device.publish("evidence", evidence(sent.id))
        with connect(cloud.web.replace("http", "ws") + "/live"):
            started = time.monotonic()
            assert cloud.stop(number) == 0
            assert time.monotonic() - started < 5.0
        assert decode(Verdict, device.hear("verdict")).reading_id == sent.id
        assert msgspec.json.decode(device.hear("availability"))["state"] == "stopped"
        assert not accepts(cloud.broker_port)
    assert "Traceback" not in cloud.log.read_text()


@pytest.mark.slow
def test_its_log_is_json_if_that_is_asked_for(tmp_path, models):
    with CloudProcess(tmp_path, "--models", models, "--log-json", "--verbose") as cloud:
        cloud.stop()
    lines = [msgspec.json.decode(line) for line in cloud.log.read_text().splitlines()]
    assert "stopping" in [line["message"] for line in lines if line["logger"] == "cloud.serve"]


def test_it_remembers_over_a_restart_and_is_reached_from_this_machine_only(tmp_path, models):
    for start in (1, 2):
        with CloudProcess(tmp_path, "--models", models) as cloud, Device(cloud.broker_port) as device:
            assert len(cloud.readings()) == start - 1
            device.publish("reading", reading())
            device.publish("evidence", evidence(head()["id"]))
            assert decode(Verdict, device.hear("verdict")).session == start
            for address in own_addresses():
                for port in (cloud.broker_port, int(cloud.web.rsplit(":", 1)[1])):
                    with socket.socket() as probe:
                        probe.settimeout(1)
                        assert probe.connect_ex((address, port)) != 0, (address, port)


@pytest.mark.slow
def test_what_was_acknowledged_before_it_stopped_is_stored(tmp_path, models):
    with CloudProcess(tmp_path, "--models", models) as cloud, Device(cloud.broker_port) as device:
        sent = [reading(number) for number in range(400)]
        waiting = [(one.id, device.send("reading", one)) for one in sent]
        waiting[20][1].wait_for_publish(30)
        assert cloud.stop() == 0
        acknowledged = {name for name, message in waiting if message.is_published()}
    assert len(acknowledged) > 20
    with CloudProcess(tmp_path, "--models", models) as cloud:
        assert acknowledged <= {one["id"] for one in cloud.readings()}


@pytest.mark.slow
def test_it_ends_in_time_whatever_its_parts_wait_for(tmp_path, models):
    """A store that somebody else has locked, and the receiver of an alert who never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, CloudProcess(tmp_path, "--models", models) as cloud:
        silent.settimeout(60)
        channel = {"site": "home", "kind": "webhook", "target": f"http://127.0.0.1:{silent.getsockname()[1]}/"}
        rule = {"site": "home", "name": "hot", "kind": "temperature", "threshold": 60.0, "duration_s": 0.0}
        for path, body in (("alert-channels", channel), ("alert-rules", rule)):
            httpx.post(f"{cloud.web}/api/{path}", json=body).raise_for_status()
        with Device(cloud.broker_port) as device:
            device.publish("health", health(ts=time.time(), temperature_c=80.0))
            told, _ = silent.accept()
            other = sqlite3.connect(cloud.data / "mien.sqlite", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            sent = device.send("reading", reading())
            started = time.monotonic()
            assert cloud.stop() == 0
            assert time.monotonic() - started < 10.0
            assert not sent.is_published()
            other.close()
            told.close()
    assert "Traceback" not in cloud.log.read_text()
    with CloudProcess(tmp_path, "--models", models) as cloud:
        assert cloud.readings() == []


def own_addresses():
    """Return this machine's addresses other than loopback."""
    found = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return {address for address in found if not address.startswith("127.")}
