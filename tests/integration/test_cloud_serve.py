"""`mien-cloud serve` as a process: how it stops, what it remembers. Refusals to start: tests/cloud/test_cli.py."""

import signal
import socket
import time

import msgspec
import pytest
from cloud_messages import availability, evidence, head, reading
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


def own_addresses():
    """Return this machine's addresses other than loopback."""
    found = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return {address for address in found if not address.startswith("127.")}
