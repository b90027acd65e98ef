from __future__ import annotations

import logging
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from link_rig import DEVICE, SITE, Amqtt, Mosquitto, Rig, eventually, subscriber

from edge.errors import LinkError

BASE = f"mien/v1/{SITE}/{DEVICE}"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def brokers() -> Iterator[list[Mosquitto | Amqtt]]:
    """Brokers put into this list are killed in the end."""
    started: list[Mosquitto | Amqtt] = []
    yield started
    for broker in started:
        broker.kill()


def with_users(folder: Path, acl: str = "") -> Mosquitto:
    passwords = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, DEVICE, "s3cret!"], check=True, capture_output=True)
    subprocess.run(["mosquitto_passwd", "-b", passwords, "reader", "reader"], check=True, capture_output=True)
    lines = ["allow_anonymous false", f"password_file {passwords}"]
    if acl:
        (folder / "acl").write_text(f"user reader\ntopic readwrite #\nuser {DEVICE}\n{acl}\n")
        lines.append(f"acl_file {folder / 'acl'}")
    broker = Mosquitto(folder, *lines)
    broker.start()
    return broker


def test_what_the_broker_forbids_is_counted_told_and_not_tried_again(
    rig: Rig, brokers: list[Mosquitto | Amqtt], tmp_path: Path
) -> None:
    acl = "\n".join(f"topic write {BASE}/{kind}" for kind in ("availability", "birth", "reading"))
    broker = with_users(tmp_path, acl)
    brokers.append(broker)
    link = rig.started(broker.url, username=DEVICE, password="s3cret!")
    with subscriber(broker, login=("reader", "reader")) as seen:
        link.publish("event", rig.maker.event())
        ids = rig.readings(link, 3)
        seen.wait_for(lambda: seen.ids("reading") == ids)
        eventually(lambda: link.stats().refused == 1)
        # Stored rows are refused just so, and not kept.
        rig.outbox.put([rig.maker.row("event")])
        link.publish("event", rig.maker.event())
        eventually(lambda: link.stats().refused == 3 and rig.outbox.rows == 0)
        assert not seen.on("event")
    assert rig.refused == [(f"{BASE}/event/camera-lost", 135)] * 3
    assert link.connected


def test_a_refused_login_is_no_connection_and_no_secret_is_logged(
    rig: Rig, brokers: list[Mosquitto | Amqtt], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = with_users(tmp_path)
    brokers.append(broker)
    with caplog.at_level(logging.DEBUG):
        link = rig.link(broker.url.replace("//", f"//{DEVICE}:wr0ng-pass@"))
        link.start()
        ids = rig.readings(link, 3)
        eventually(lambda: rig.outbox.rows == 3)
        eventually(lambda: "Not authorized" in link.stats().problem)
        assert not link.connected
        assert link.stats().connects == 0
        link.stop(1.0)
        # The technician sets the password right; what was read meanwhile is there.
        again = rig.link(broker.url, username=DEVICE, password="s3cret!")
        with subscriber(broker, login=("reader", "reader")) as seen:
            again.start()
            seen.wait_for(lambda: seen.ids("reading") == ids)
            again.stop(2.0)
    assert "Not authorized" in caplog.text
    assert "s3cret!" not in caplog.text
    assert "wr0ng-pass" not in caplog.text


def say_taken_over(listener: socket.socket) -> None:
    """Be a broker of MQTT 5 that accepts a client and tells it that another one has its name."""
    near, _ = listener.accept()
    near.recv(1000)
    near.sendall(bytes([0x20, 3, 0, 0, 0]) + bytes([0xE0, 2, 142, 0]))
    near.close()


def test_a_device_that_is_told_its_name_is_taken_stops_and_says_so(rig: Rig) -> None:
    # By hand, as Mosquitto of Debian 12 (2.0.11) does not say it; 2.0.15 and AWS do.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        broker = threading.Thread(target=say_taken_over, args=(listener,))
        broker.start()
        link = rig.link(f"mqtt://127.0.0.1:{listener.getsockname()[1]}")
        link.start()
        assert rig.taken_over.wait(10.0)
        broker.join()
        assert "taken over" in link.stats().problem
        listener.settimeout(0.5)
        with pytest.raises(TimeoutError):  # nobody calls again
            listener.accept()
    rig.readings(link, 2)
    link.stop(1.0)
    assert rig.outbox.rows == 2


def test_two_of_one_name_do_not_fight_for_ever(rig: Rig, brokers: list[Mosquitto | Amqtt], tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    brokers.append(broker)
    links = [rig.link(broker.url), rig.link(broker.url)]
    for link in links:
        link.start()
    assert rig.taken_over.wait(30.0)
    eventually(lambda: any("rests" in link.stats().problem for link in links))
    eventually(lambda: sum(link.connected for link in links) == 1)


def test_the_embedded_broker_is_spoken_to_by_mqtt_311(
    rig: Rig, brokers: list[Mosquitto | Amqtt], tmp_path: Path
) -> None:
    broker = Amqtt(tmp_path)
    broker.start()
    brokers.append(broker)
    link = rig.started(broker.url)
    assert link.stats().protocol == "3.1.1"
    ids = rig.readings(link, 20)
    eventually(lambda: link.stats().acknowledged == 22)
    broker.kill()
    ids += rig.readings(link, 5)
    eventually(lambda: rig.outbox.rows == 5)
    broker.start()
    eventually(lambda: link.stats().acknowledged == 29 and rig.outbox.rows == 0)
    assert link.stats().protocol == "3.1.1"
    link.stop(2.0)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private authority, a broker's certificate for 127.0.0.1, and a device's."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("authority", "stranger"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")  # fmt: skip
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("broker", DEVICE):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "authority.crt", "-CAkey", "authority.key", "-days", "2",
                "-CAcreateserial", "-extfile", "san", "-out", f"{name}.crt")  # fmt: skip
    return folder


# paho leaves the socket of a failed TLS handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_a_device_is_known_by_its_certificate_and_trusts_one_authority(
    rig: Rig, brokers: list[Mosquitto | Amqtt], tmp_path: Path, certificates: Path
) -> None:
    own = {
        "certificate_file": str(certificates / f"{DEVICE}.crt"),
        "key_file": str(certificates / f"{DEVICE}.key"),
    }
    (tmp_path / "acl").write_text(f"pattern write mien/v1/{SITE}/%u/#\npattern read mien/v1/{SITE}/%u/#\n")
    broker = Mosquitto(
        tmp_path,
        f"cafile {certificates / 'authority.crt'}",
        f"certfile {certificates / 'broker.crt'}",
        f"keyfile {certificates / 'broker.key'}",
        "require_certificate true",
        "use_identity_as_username true",
        f"acl_file {tmp_path / 'acl'}",
    )
    broker.start()
    brokers.append(broker)
    url = broker.url.replace("mqtt:", "mqtts:")
    wary = rig.link(url, ca_file=str(certificates / "stranger.crt"), **own)
    wary.start()
    eventually(lambda: "certificate" in wary.stats().problem.lower())
    wary.stop(1.0)
    unknown = rig.link(url, ca_file=str(certificates / "authority.crt"))
    unknown.start()
    eventually(lambda: unknown.stats().problem)
    assert unknown.stats().connects == 0
    unknown.stop(1.0)
    link = rig.started(url, ca_file=str(certificates / "authority.crt"), **own)
    rig.readings(link, 3)
    eventually(lambda: link.stats().acknowledged == 5)
    assert link.stats().refused == 0


def test_tls_files_that_cannot_be_used_are_named(rig: Rig) -> None:
    with pytest.raises(LinkError, match=r"/nowhere/ca\.crt"):
        rig.link("mqtts://broker.example", ca_file="/nowhere/ca.crt")


def test_waits_grow_to_their_bound_and_are_drawn_at_random(rig: Rig, tmp_path: Path) -> None:
    drawn: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    link = rig.link(Mosquitto(tmp_path).url, backoff_s=(1.0, 60.0))
    link._connector._backoff._jitter = jitter
    link.start()
    eventually(lambda: len(drawn) >= 8)
    assert drawn[:8] == [(0.0, high) for high in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0)]


def test_the_retained_birth_carries_the_session_of_the_will(
    rig: Rig, brokers: list[Mosquitto | Amqtt], tmp_path: Path
) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    brokers.append(broker)
    rig.started(broker.url)
    with subscriber(broker) as seen:
        seen.wait_for(lambda: seen.on("birth") and seen.on("availability"))
        birth = msgspec.json.decode(seen.on("birth")[0].payload)
        availability = msgspec.json.decode(seen.on("availability")[0].payload)
    assert birth["session"] == availability["session"] == 1
