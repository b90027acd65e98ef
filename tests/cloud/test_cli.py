import asyncio
import socket

import pytest
from brokers import free_port
from cloud_models import write_models
from cloud_service import mosquitto

from cloud.broker import EmbeddedBroker
from cloud.cli import main
from cloud.link import INGEST_FILTERS, parse_address, probe
from cloud.store import Database
from edge.errors import ConfigError


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return str(write_models(tmp_path_factory.mktemp("models")))


@pytest.fixture
def refusal(tmp_path, models, capsys):
    """Run `mien-cloud serve` where it must fail; return its one line."""

    def run(*arguments):
        assert main(["serve", "--port", "0", "--data", str(tmp_path / "data"), "--models", models, *arguments]) == 1
        output = capsys.readouterr()
        assert output.out == ""
        (line,) = output.err.splitlines()
        assert line.startswith("mien-cloud: ")
        return line

    return run


def test_a_taken_port_is_named(refusal):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refusal("--port", port)
        assert f"cannot listen on 127.0.0.1:{port}" in line
        assert "--port" in line
        line = refusal("--broker-port", port)
        assert f"the broker cannot listen on 127.0.0.1:{port}" in line
        assert "--broker-port" in line


def test_a_broker_that_cannot_be_used_is_named(refusal, tmp_path):
    address = f"mqtt://127.0.0.1:{free_port()}"
    assert f"{address} cannot be reached" in refusal("--broker", address)
    with mosquitto(tmp_path / "mosquitto", anonymous="false") as port:
        line = refusal("--broker", f"mqtt://someone:wrong@127.0.0.1:{port}")
        assert "refuses" in line
        assert "wrong" not in line


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "mqtt://", "127.0.0.1:1883", "mqtt://host:99999", "mqtt://host/path"]
)
def test_an_address_that_is_none_is_named(url):
    with pytest.raises(ConfigError, match="--broker"):
        parse_address(url)


def test_an_address_may_carry_user_and_password():
    address = parse_address("mqtt://mien:p%40ss@broker.example")
    assert (address.host, address.port, address.username, address.password) == ("broker.example", 1883, "mien", "p@ss")
    assert str(address) == "mqtt://broker.example:1883"


def test_missing_models_are_named(refusal, tmp_path):
    assert "manifest.json does not exist" in refusal("--models", str(tmp_path))


def test_a_folder_in_use_is_named(refusal, tmp_path):
    database = Database(tmp_path / "data")
    assert "another mien-cloud" in refusal()
    database.close()


def test_a_folder_that_cannot_be_made_is_named(refusal, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "cannot be used" in refusal("--data", str(tmp_path / "file"))


def test_a_ready_file_that_cannot_be_written_is_named(refusal, tmp_path):
    assert "ready.json cannot be written" in refusal("--ready-file", str(tmp_path / "nowhere" / "ready.json"))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::"])
def test_it_is_not_opened_to_others_by_accident(host, refusal):
    assert "would let everyone there see everything" in refusal("--no-accounts", "--host", host)


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as end:
        main(["serve", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in ("--broker", "--ready-file", "examples:", "admin create"):
        assert word in text


def test_ingest_does_not_subscribe_to_evidence():
    """A persistent session that is away would make the broker spool it."""
    assert "mien/v1/+/+/reading" in INGEST_FILTERS
    assert not any(text.endswith(("#", "evidence", "+/+")) for text in INGEST_FILTERS)


class OpenGate:
    async def admit(self, topic, payload):
        return True

    def admit_unpromised(self, topic, payload):
        return True


def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1():
    async def find_out():
        broker = EmbeddedBroker(OpenGate())
        await broker.start()
        address = await probe(parse_address(f"mqtt://127.0.0.1:{broker.port}"))
        await broker.stop()
        return address

    assert not asyncio.run(find_out()).shares
