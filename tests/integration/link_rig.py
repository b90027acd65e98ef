"""What the tests of the link run against: real brokers, a cable that can be pulled, a client that writes all down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from brokers import WAIT_S, Amqtt, Mosquitto, Process, eventually
from link_cable import Cable
from link_samples import DEVICE, SITE, Maker
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from edge.clock import SystemClock
from edge.link.outbox import Outbox
from edge.link.session import Link

__all__ = ["DEVICE", "SITE", "Amqtt", "Cable", "Maker", "Mosquitto", "Rig", "Subscriber", "eventually", "subscriber"]


class Subscriber:
    """Writes down messages in the order of arrival."""

    def __init__(self, port: int, topic_filter: str, login: tuple[str, str] | None) -> None:
        self.seen: list[MQTTMessage] = []
        self._changed = threading.Condition()
        self.subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        if login:
            self._client.username_pw_set(*login)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda *_: self._client.subscribe(topic_filter, 1)
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self.subscribed.wait(WAIT_S)

    def publish(self, topic: str, message: msgspec.Struct | bytes) -> None:
        payload = message if isinstance(message, bytes) else msgspec.json.encode(message)
        self._client.publish(topic, payload, 1).wait_for_publish(WAIT_S)

    def on(self, kind: str) -> list[MQTTMessage]:
        """Messages of one kind."""
        return [message for message in list(self.seen) if message.topic.split("/")[4] == kind]

    def ids(self, kind: str) -> list[str]:
        return [msgspec.json.decode(message.payload)["id"] for message in self.on(kind)]

    def states(self) -> list[str]:
        return [msgspec.json.decode(message.payload)["state"] for message in self.on("availability")]

    def wait_for(self, condition: Callable[[], object], *, within_s: float = WAIT_S) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, within_s), f"did not arrive; seen {len(self.seen)}"

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        with self._changed:
            self.seen.append(message)
            self._changed.notify_all()


@contextmanager
def subscriber(
    broker: Process, topic_filter: str = "mien/v1/#", *, login: tuple[str, str] | None = None
) -> Iterator[Subscriber]:
    client = Subscriber(broker.port, topic_filter, login)
    try:
        yield client
    finally:
        client.close()


class Rig:
    """Makes links as devices have them, with quick times, and stops them all in the end."""

    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        self.outbox = Outbox(folder / "outbox.sqlite", clock=self.clock)
        self.maker = Maker(self.clock, session=self.outbox.next_session())
        self.heard: list[Any] = []
        self.refused: list[tuple[str, int]] = []
        self.taken_over = threading.Event()
        self._links: list[Link] = []

    def link(self, url: str, **options: Any) -> Link:
        settings: dict[str, Any] = {
            "broker": url,
            "site": SITE,
            "device": DEVICE,
            "session": 1,
            "outbox": self.outbox,
            "clock": self.clock,
            "birth": self.maker.birth,
            "on_verdict": self.heard.append,
            "on_command": self.heard.append,
            "on_taken_over": self.taken_over.set,
            "on_refused": lambda topic, reason: self.refused.append((topic, reason)),
            "puback_timeout_s": 0.5,
            "replay_per_s": 500.0,
            "backoff_s": (0.05, 0.2),
        }
        link = Link(**(settings | options))
        self._links.append(link)
        return link

    def started(self, url: str, **options: Any) -> Link:
        """A link that is connected."""
        link = self.link(url, **options)
        link.start()
        eventually(lambda: link.connected)
        return link

    def readings(self, link: Link, count: int) -> list[str]:
        """Publish readings and return their ids."""
        messages = [self.maker.reading() for _ in range(count)]
        for message in messages:
            link.publish("reading", message)
        return [message.id for message in messages]

    def close(self) -> None:
        for link in self._links:
            link.stop(2.0)
        self.outbox.close()
