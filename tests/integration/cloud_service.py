"""Whole processes for the tests: `mien-cloud serve`, Mosquitto, and a device that is nothing but its messages."""

from __future__ import annotations

import json
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import paho.mqtt.client as mqtt
from brokers import Mosquitto, free_port
from paho.mqtt.enums import CallbackAPIVersion

from edge.protocol import AnyMessage, encode, topic

REPOSITORY = Path(__file__).parents[2]
START_S = 90.0
"""Generous: on a busy machine the imports alone take their time."""


class CloudProcess:
    """A `mien-cloud serve` of its own.

    with CloudProcess(tmp_path, "--models", str(models)) as cloud:
        httpx.get(f"{cloud.web}/healthz")
    """

    def __init__(self, folder: Path, *arguments: str, accounts: bool = False) -> None:
        folder.mkdir(exist_ok=True)
        self.data = folder / "data"
        self._ready_file = folder / "ready.json"
        self._ready_file.unlink(missing_ok=True)
        self.log = folder / "cloud.log"
        options = [
            "--port",
            "0",
            *([] if accounts else ["--no-accounts"]),
            "--data",
            str(self.data),
            "--ready-file",
            str(self._ready_file),
            *arguments,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "cloud.cli", "serve", *options],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )
        self.web, self.broker_port = "", 0
        self.broker_is_embedded = "--broker" not in arguments

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_S
        while not self._ready_file.exists():
            assert self.process.poll() is None, f"mien-cloud ended at once: {self.log.read_text()}"
            if time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"mien-cloud was not ready in time: {self.log.read_text()}")
            time.sleep(0.02)
        ready = json.loads(self._ready_file.read_text())
        assert ready["pid"] == self.process.pid
        self.web, self.broker_port = ready["web"], int(ready["broker"].rsplit(":", 1)[1])
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self.process.poll() is None:
            status = self.stop()
            if kind is None:
                assert status == 0, self.log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status; kill it if it takes twice as long as it may."""
        self.process.send_signal(number)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def add_admin(self, login: str, password: str) -> None:
        """Make an admin of all sites as people do."""
        command = [sys.executable, "-m", "cloud.cli", "admin", "create", login, "--data", str(self.data)]
        subprocess.run(command, input=f"{password}\n", text=True, check=True, cwd=REPOSITORY, capture_output=True)

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        return httpx.get(f"{self.web}{path}").json()

    def readings(self, limit: int = 1000) -> list[dict[str, Any]]:
        """Return the stored readings, newest first."""
        found: list[dict[str, Any]] = self.get(f"/api/readings?limit={limit}")["readings"]
        return found


@contextmanager
def mosquitto(folder: Path, *, anonymous: str = "true") -> Iterator[int]:
    """Run a Mosquitto on a free port of this machine; yield the port. Its state stays in `folder` for a restart."""
    folder.mkdir(exist_ok=True)
    port_file = folder / "port"
    if not port_file.exists():
        port_file.write_text(str(free_port()))
    state = ("persistence true", f"persistence_location {folder}/", "autosave_interval 1")
    broker = Mosquitto(folder, f"allow_anonymous {anonymous}", *state, port=int(port_file.read_text()))
    broker.start()
    try:
        yield broker.port
    finally:
        broker.stop()


def accepts(port: int) -> bool:
    """Say whether something listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Device:
    """A device as its broker sees it: connects, subscribes, publishes with QoS 1, hears verdicts.

    with Device(port, "home", "front-door") as device:
        device.publish("reading", reading())
    """

    def __init__(self, port: int, site: str = "home", name: str = "front-door") -> None:
        self.site, self.name = site, name
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._port = port
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, reconnect_on_failure=False)
        self._client.on_message = lambda _client, _data, message: self.heard.put((message.topic, message.payload))
        self._client.on_subscribe = lambda *_: self._subscribed.put(None)
        self._subscribed: queue.Queue[None] = queue.Queue()

    def __enter__(self) -> Self:
        from cloud_messages import availability

        self._client.will_set(topic(self.site, self.name, "availability"), encode(availability("lost")), 1, retain=True)
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._client.subscribe(
            [(topic(self.site, self.name, "verdict"), 1), (topic(self.site, "cloud", "availability"), 1)]
        )
        self._subscribed.get(timeout=5)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def drop(self) -> None:
        """Break the connection without a word, so that the broker publishes the last will."""
        sock = self._client.socket()
        assert isinstance(sock, socket.socket)
        self._client.loop_stop()
        sock.shutdown(socket.SHUT_RDWR)

    def publish(self, kind: str, message: AnyMessage, sub: str = "", *, retain: bool = False) -> None:
        """Publish with QoS 1 and wait for the acknowledgement."""
        self.publish_raw(topic(self.site, self.name, kind, sub), encode(message), retain=retain)

    def publish_raw(self, topic_text: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish any bytes on any topic and wait for the acknowledgement."""
        self._client.publish(topic_text, payload, 1, retain).wait_for_publish(5)

    def send(self, kind: str, message: AnyMessage) -> mqtt.MQTTMessageInfo:
        """Publish with QoS 1 without waiting; `is_published()` of the result says whether it was acknowledged."""
        return self.send_raw(topic(self.site, self.name, kind), encode(message))

    def send_raw(self, topic_text: str, payload: bytes) -> mqtt.MQTTMessageInfo:
        """Publish any bytes on any topic without waiting."""
        return self._client.publish(topic_text, payload, 1)

    def subscribe(self, filter_text: str) -> None:
        """Subscribe with QoS 1 and wait until it is granted."""
        self._client.subscribe(filter_text, 1)
        self._subscribed.get(timeout=5)

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        return self._client.is_connected()

    def count(self, kind: str) -> int:
        """Take what was heard so far; return how many messages of a kind were among it."""
        found = 0
        while not self.heard.empty():
            found += self.heard.get()[0].endswith(f"/{kind}")
        return found

    def hear(self, kind: str, *, within_s: float = 5.0) -> bytes:
        """Return the payload of the next message of a kind (`verdict`, or `availability` of the cloud)."""
        deadline = time.monotonic() + within_s
        while True:
            topic_text, payload = self.heard.get(timeout=max(0.01, deadline - time.monotonic()))
            if topic_text.endswith(f"/{kind}"):
                return payload
