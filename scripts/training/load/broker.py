"""A Mosquitto of its own for a simulation, and the cloud's part of the conversation."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from edge.clock import SystemClock
from edge.emotions import EMOTIONS
from edge.header import Headers
from edge.protocol import CLOUD, CloudAvailability, Evidence, Verdict, decode, distribution, encode, parse_topic, topic
from training.errors import TrainingError

START_S = 15.0
HEARTBEAT_S = 0.2
"""Of real time: a device in fast time forgets a cloud that it has not heard for 45 s of its own."""
UNANSWERED = 5
"""Every so many requests the cloud keeps silent, and the device's deadline passes."""


class Mosquitto:
    """A broker on a free port of this machine; can be stopped and started again.

    Raises TrainingError if Mosquitto is not installed or does not start.
    """

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        if binary is None:
            raise TrainingError("mosquitto is not installed: apt-get install mosquitto")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        config = folder / "mosquitto.conf"
        lines = (f"listener {self.port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 100000")
        config.write_text("\n".join([*lines, f"user {getpass.getuser()}"]) + "\n", encoding="utf-8")
        self._command = [binary, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and not killed."""
        return self._process is not None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > until:
                raise TrainingError(f"mosquitto does not start: try {' '.join(self._command)}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True


class StandInCloud:
    """Says that it is there, and answers evidence with made-up verdicts.

    What the device remembers of its questions does not depend on how good the answers are. `counts` has the verdicts,
    and of each kind of the device's messages how many came.
    """

    def __init__(self, port: int, site: str) -> None:
        self._site = site
        self._headers = Headers(session=1, mode="demo", clock=SystemClock())
        self.counts: Counter[str] = Counter()
        self._ended = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._connected
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, *_: Any) -> None:
        self._client.subscribe(f"mien/v1/{self._site}/+/#", 1)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            message = CloudAvailability(state="online", workers=1, ts=time.time())
            self._client.publish(topic(self._site, CLOUD, "availability"), encode(message), 1)

    def _heard(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        heard = parse_topic(message.topic)
        if heard.device == CLOUD or not heard.spec.direction.startswith("device"):
            return
        self.counts[heard.spec.kind] += 1
        if heard.spec.kind == "evidence" and self.counts["evidence"] % UNANSWERED:
            self._answer(heard.device, decode(Evidence, bytes(message.payload)))

    def _answer(self, device: str, evidence: Evidence) -> None:
        probs = [1.0 / len(EMOTIONS)] * len(EMOTIONS)
        verdict = Verdict(
            **self._headers.next(),
            reading_id=evidence.reading_id,
            status="ok",
            fused=distribution(EMOTIONS, probs),
            models=["stand-in"],
        )
        self.counts["verdict"] += 1
        self._client.publish(topic(self._site, device, "verdict"), encode(verdict), 1)
