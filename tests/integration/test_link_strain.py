"""A broker that is slow, full, out of quota, or restarted in good order: nothing is lost, nobody has to wait."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from link_rig import DEVICE, SITE, Cable, Mosquitto, Rig, eventually, subscriber
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.link.attempts import SHORT_LIMIT

CONNACK, PUBACK, SUBACK, PINGRESP, DISCONNECT = 0x20, 0x40, 0x90, 0xD0, 0xE0
SHUTTING_DOWN = 139
CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def test_on_a_slow_line_nobody_waits_and_all_arrives_once_and_in_order(rig: Rig, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    cable = Cable(broker.port)
    link = rig.started(cable.url)
    eventually(lambda: link.stats().acknowledged == 2)
    with subscriber(broker) as seen:
        cable.slow(4000)
        began = time.monotonic()
        ids = rig.readings(link, 100)  # 50 kB
        assert time.monotonic() - began < 1.0
        eventually(lambda: rig.outbox.rows > 20, what="too old to be kept in memory only")
        eventually(lambda: len(seen.on("reading")) >= 5)
        assert len(seen.on("reading")) < 100, "the line was not slow"
        cable.slow(None)
        seen.wait_for(lambda: len(seen.on("reading")) >= 100)
        eventually(lambda: rig.outbox.rows == 0)
        assert seen.ids("reading") == ids
    assert link.stats().connects == 1
    link.stop(2.0)
    cable.close()
    broker.kill()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that has little memory. Mosquitto 2.0.11 then answers nothing: it drops connections, and ends."""
    broker = Mosquitto(tmp_path, "memory_limit 2000000")
    broker.start()
    yield broker
    broker.kill()


def sleeper(broker: Mosquitto) -> None:
    """Leave a subscriber behind that is away, for whom the broker has to keep everything."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="sleeper", protocol=MQTTv5)
    lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    lasting.SessionExpiryInterval = 3600
    subscribed = threading.Event()
    client.on_connect = lambda *_: client.subscribe("mien/v1/#", 1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", broker.port, clean_start=True, properties=lasting)
    client.loop_start()
    assert subscribed.wait(10.0)
    client.disconnect()
    client.loop_stop()


@pytest.mark.slow
def test_what_a_full_broker_does_not_take_is_kept(rig: Rig, full: Mosquitto) -> None:
    sleeper(full)
    cable = Cable(full.port)
    link = rig.started(cable.url)
    ids: list[str] = []
    while rig.outbox.rows == 0:
        assert len(ids) < 20_000, "the broker never got full"
        ids += rig.readings(link, 100)
        time.sleep(0.02)
    cable.pull()
    eventually(lambda: not link.connected)
    eventually(link._courier._inbox.empty)  # what the broker had acknowledged until then is counted
    taken = link.stats().acknowledged
    full.kill()
    full.start()
    with subscriber(full) as seen:
        cable.plug()
        eventually(lambda: rig.outbox.rows == 0)
        (fence,) = rig.readings(link, 1)
        seen.wait_for(lambda: fence in seen.ids("reading"))
        kept = set(seen.ids("reading")) - {fence}
    assert kept <= set(ids)
    assert len(set(ids) - kept) <= taken, "only what the broker had acknowledged is gone, and with the broker"
    link.stop(2.0)
    cable.close()


class QuotaBroker:
    """A broker of MQTT 5 by hand: it answers every publish "quota exceeded" until it is told to be generous."""

    def __init__(self) -> None:
        self.generous = threading.Event()
        self.taken: list[bytes] = []
        self.refused = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(10.0)
        self._listener.close()

    def _serve(self) -> None:
        near, _ = self._listener.accept()
        with near, near.makefile("rb") as stream:
            while head := stream.read(1):
                kind, body = head[0] >> 4, stream.read(self._length(stream))
                if kind == CONNECT:
                    near.sendall(bytes([CONNACK, 3, 0, 0, 0]))
                elif kind == SUBSCRIBE:
                    near.sendall(bytes([SUBACK, 6]) + body[:2] + bytes([0, 1, 1, 1]))
                elif kind == PINGREQ:
                    near.sendall(bytes([PINGRESP, 0]))
                elif kind == PUBLISH:
                    end = 2 + int.from_bytes(body[:2], "big")
                    near.sendall(bytes([PUBACK, 3]) + body[end : end + 2] + bytes([self._judge(body)]))

    def _judge(self, body: bytes) -> int:
        if b"/reading" in body and not self.generous.is_set():
            self.refused += 1
            return 151
        self.taken.append(body)
        return 0

    @staticmethod
    def _length(stream: object) -> int:
        length = shift = 0
        while True:
            byte = stream.read(1)[0]  # type: ignore[attr-defined]
            length |= (byte & 127) << shift
            if byte < 128:
                return length
            shift += 7


def test_over_its_quota_a_message_is_kept_and_sent_again_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.link.courier.PUT_OFF_S", 0.5)
    broker = QuotaBroker()
    link = rig.started(broker.url)
    ids = rig.readings(link, 30)
    eventually(lambda: rig.outbox.rows == 30)
    eventually(lambda: link.stats().put_off >= 2)
    assert broker.refused < 60, "it is not hammered"
    assert rig.refused == []
    broker.generous.set()
    eventually(lambda: rig.outbox.rows == 0)
    arrived = [body for body in broker.taken if f"{SITE}/{DEVICE}/reading".encode() in body]
    assert [next(each for each in ids if each.encode() in body) for body in arrived] == ids
    assert link.stats().connects == 1
    link.stop(2.0)
    broker.close()


def test_a_broker_that_says_it_shuts_down_again_and_again_is_no_rival(rig: Rig) -> None:
    def shut_down(listener: socket.socket, times: int) -> None:
        for _ in range(times):
            near, _ = listener.accept()
            near.recv(1000)
            near.sendall(bytes([CONNACK, 3, 0, 0, 0]))
            near.recv(1000)  # now it takes itself for connected
            near.sendall(bytes([DISCONNECT, 2, SHUTTING_DOWN, 0]))
            while near.recv(1000):  # a reset would overtake those words
                pass
            near.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        times = SHORT_LIMIT + 2
        broker = threading.Thread(target=shut_down, args=(listener, times))
        broker.start()
        link = rig.link(f"mqtt://127.0.0.1:{listener.getsockname()[1]}")
        link.start()
        broker.join(20.0)
        eventually(lambda: link.stats().connects == times)
        link.stop(1.0)
    assert not rig.taken_over.is_set()
