"""`mien-edge doctor` with real brokers, a network camera, and a running daemon whose session it must not take."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import Amqtt, Mosquitto
from link_rig import subscriber
from network_camera import camera

from edge.config import load_config
from edge.doctor import sources
from edge.doctor.access import check_certificates
from edge.doctor.broker import check_broker
from edge.doctor.ground import Ground, survey
from edge.doctor.sources import check_camera
from edge.protocol import Event, Health, decode

OWN = "mien/v1/school/room"
RULES = "\n".join(
    [
        *(
            f"topic write {OWN}/{kind}"
            for kind in ("availability", "birth", "reading", "aggregate", "evidence", "health")
        ),
        *(f"topic write {OWN}/{kind}/#" for kind in ("event", "reply")),
        *(f"topic read {OWN}/{kind}" for kind in ("verdict", "command/#")),
        "topic read mien/v1/school/cloud/availability",
    ]
)
"""What DESIGN's access rules let a device do, and no more."""

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
[camera]
source = "{source}"
[window]
length_s = 1.0
[outbox]
folder = "{folder}"
[mqtt]
broker = "{broker}"
"""


def ground(folder: Path, *, broker: str = "", source: str = "", more: str = "") -> Ground:
    path = folder / "edge.toml"
    path.write_text(SETTINGS.format(source=source, folder=folder / "state", broker=broker) + more)
    return survey(path, listen_s=None, look_s=None)


def with_rules(folder: Path, rules: str) -> Mosquitto:
    passwords = folder / "passwords"
    for name, create in (("room", ["-c"]), ("reader", [])):
        subprocess.run(["mosquitto_passwd", "-b", *create, passwords, name, "s3cret"], check=True, capture_output=True)
    (folder / "acl").write_text(f"user reader\ntopic readwrite #\nuser room\n{rules}\n")
    lines = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {folder / 'acl'}")
    broker = Mosquitto(folder, *lines)
    broker.start()
    return broker


@contextmanager
def daemon(settings: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "edge.cli", "run", "--config", str(settings)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


LOGIN = 'username = "room"\npassword_file = "{}"\n'


@pytest.fixture
def login(tmp_path: Path) -> str:
    (tmp_path / "password").write_text("s3cret\n")
    return LOGIN.format(tmp_path / "password")


def test_a_broker_with_the_rules_of_the_design(tmp_path: Path, login: str) -> None:
    broker = with_rules(tmp_path, RULES)
    try:
        with subscriber(broker, login=("reader", "s3cret")) as seen:
            finding = check_broker(ground(tmp_path, broker=broker.url, more=login))
            assert finding.status == "ok", finding
            assert finding.detail["mqtt"] == "5"
            assert finding.detail["echo_ms"] > 0
            seen.wait_for(lambda: seen.on("health"))
            assert decode(Health, bytes(seen.on("health")[0].payload)).session == 0
            assert not seen.on("availability"), "no last will, no greeting: doctor is no daemon"
    finally:
        broker.kill()


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (RULES.replace(f"topic write {OWN}/health", ""), f"writing {OWN}/health"),
        (RULES.replace(f"topic read {OWN}/verdict", ""), ""),
    ],
)
def test_a_broker_that_forbids_something(tmp_path: Path, login: str, rules: str, words: str) -> None:
    broker = with_rules(tmp_path, rules)
    try:
        finding = check_broker(ground(tmp_path, broker=broker.url, more=login))
        # Mosquitto grants a subscription that its rules forbid, and then sends nothing: only writing can be told.
        assert finding.status == ("fail" if words else "ok")
        assert words in finding.text
        wrong = login.replace("room", "rooms")
        assert "refuses this device" in check_broker(ground(tmp_path, broker=broker.url, more=wrong)).text
    finally:
        broker.kill()


def test_a_broker_that_knows_only_the_old_version(tmp_path: Path) -> None:
    broker = Amqtt(tmp_path)
    broker.start()
    try:
        finding = check_broker(ground(tmp_path, broker=broker.url))
        assert finding.status == "ok", finding
        assert finding.detail["mqtt"] == "3.1.1"
    finally:
        broker.kill()


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_what_is_no_broker(tmp_path: Path, deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.doctor.broker.ANSWER_S", 0.5)
    finding = check_broker(ground(tmp_path, broker=f"mqtt://127.0.0.1:{deaf}"))
    assert "no answer to CONNECT" in finding.text
    assert "cannot be reached" in check_broker(ground(tmp_path, broker="mqtt://127.0.0.1:1")).text
    assert "has no address" in check_broker(ground(tmp_path, broker="mqtt://broker.invalid")).text


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name, days in (("broker", "90"), ("stranger", "2")):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days,
             "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=IP:127.0.0.1"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
    return folder


# paho and ssl leave the socket of a failed TLS handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_tls(tmp_path: Path, certificates: Path) -> None:
    files = (f"certfile {certificates / 'broker.crt'}", f"keyfile {certificates / 'broker.key'}")
    broker = Mosquitto(tmp_path, *files)
    broker.start()
    url = broker.url.replace("mqtt:", "mqtts:")

    def settings(name: str, key: str = "") -> Ground:
        own = f'certificate_file = "{certificates / name}.crt"\nkey_file = "{certificates / key}.key"\n' if key else ""
        return ground(tmp_path, broker=url, more=f'ca_file = "{certificates / name}.crt"\n{own}')

    try:
        finding = check_broker(settings("broker"))
        assert finding.status == "ok", finding
        assert 89 < finding.detail["certificate_days"] <= 90
        assert "certificate is refused" in check_broker(settings("stranger")).text
    finally:
        broker.kill()
    assert check_certificates(settings("broker")).status == "ok"
    assert check_certificates(settings("stranger")).status == "warn", "two days left"
    mixed = check_certificates(settings("broker", key="stranger"))
    assert mixed.status == "fail"
    assert "do not" in mixed.text.lower() or "mismatch" in mixed.text.lower()


@pytest.mark.slow
def test_a_network_camera_with_a_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PROBE_S", 90.0)  # the machine that runs the tests may be busy
    with camera() as port:
        finding = check_camera(ground(tmp_path, source=f"http://127.0.0.1:{port}/"))
    assert finding.status == "ok", finding
    assert finding.detail["faces"] == 1


def test_a_camera_that_hangs_is_ended(tmp_path: Path, deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PROBE_S", 3.0)
    finding = check_camera(ground(tmp_path, source=f"http://127.0.0.1:{deaf}/"))
    assert finding.status == "fail"
    assert "no answer within 3 s" in finding.text


def test_a_running_daemon_keeps_its_session_and_its_camera(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    try:
        with camera() as port, subscriber(broker) as seen:
            path = ground(tmp_path, broker=broker.url, source=f"http://127.0.0.1:{port}/").path
            with daemon(path) as process:
                seen.wait_for(lambda: len(seen.on("reading")) >= 2, within_s=60)
                before = len(seen.on("reading"))
                line = [
                    sys.executable,
                    "-m",
                    "edge.cli",
                    "doctor",
                    "--config",
                    str(path),
                    "--json",
                    "--only",
                    "daemon",
                    "camera",
                    "broker",
                ]
                done = subprocess.run(line, capture_output=True, text=True, timeout=60)
                found = {each["check"]: each for each in json.loads(done.stdout)["checks"]}
                assert [found[each]["status"] for each in ("daemon", "camera", "broker")] == ["ok", "skip", "ok"]
                assert "left to the daemon" in found["broker"]["text"]
                seen.wait_for(lambda: len(seen.on("reading")) >= before + 2, within_s=30)
                assert len(seen.on("availability")) == 1, "it never went away"
                process.terminate()
                process.communicate(timeout=20)
            assert process.returncode == 0
    finally:
        broker.kill()


@pytest.mark.slow
def test_after_a_mistake_the_daemon_goes_on_with_the_last_good_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "kept"))
    broker = Mosquitto(tmp_path)
    broker.start()
    path = ground(tmp_path, broker=broker.url).path
    good = path.read_text()
    assert load_config(path, {}).window.length_s == 1.0
    modes = []
    try:
        for text in (good, good.replace("= 1.0", "= 1000.0"), good.replace("= 1.0", "= 1000.0").replace("demo", "off")):
            path.write_text(text)
            with subscriber(broker) as seen, daemon(path) as process:
                seen.wait_for(lambda seen=seen: seen.on("health"), within_s=60)
                modes.append(decode(Health, bytes(seen.on("health")[0].payload)).mode)
                if text == good:
                    assert not seen.on("event/config-invalid")
                else:
                    seen.wait_for(lambda seen=seen: seen.on("event"))
                    event = decode(Event, bytes(seen.on("event")[0].payload))
                    assert event.type == "config-invalid"
                    assert "window.length_s = 1000.0" in event.text
                process.terminate()
                _, log = process.communicate(timeout=20)
                assert ("the settings are wrong" in log) == (text != good), log
    finally:
        broker.kill()
    assert modes == ["demo", "demo", "off"]
