"""Check of the broker: that it is reached, by TLS, and lets this device write and read what it must.

A device may not read what it writes (DESIGN 4's access rules), so there is no true echo: the broker's word for it are
PUBACK and SUBACK. What is written is a health message, which every mode lets out; what is asked for are the device's
own verdicts and commands. All of it by the device's own client id, since brokers bind rights to it, and therefore
only while no daemon of that name runs here.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.client import Client

from edge.clock import SystemClock
from edge.connect import read_password
from edge.doctor.ground import Ground
from edge.doctor.report import Finding
from edge.header import Headers
from edge.health import Timings, health_message
from edge.link.broker import Broker, Version, parse_broker
from edge.link.connection import REFUSED, SESSION_TAKEN_OVER, UNSUPPORTED_VERSION
from edge.protocol import CLOUD, PREFIX, encode, topic
from edge.settings import Config

REACH_S = 5.0
ANSWER_S = 4.0
"""For each answer of a broker that has been reached."""
HEARTBEAT_S = 0.5
"""For the cloud's retained word to come after the subscription."""
KEEPALIVE_S = 30
SESSION = 0
"""The daemon counts its sessions from 1: nobody can take this message for one of a running daemon."""


def check_broker(ground: Ground) -> Finding:
    """Reach the broker, and talk to it if the daemon does not. Raises LinkError, ConfigError."""
    config, daemon = ground.config, ground.daemon
    mqtt = config.mqtt
    if not mqtt.broker:
        return Finding("skip", "none configured (mqtt.broker): readings stay on the device")
    broker = parse_broker(
        mqtt.broker,
        username=mqtt.username or None,
        password=read_password(mqtt.password_file),
        ca_file=mqtt.ca_file or None,
        certificate_file=mqtt.certificate_file or None,
        key_file=mqtt.key_file or None,
    )
    try:
        detail: dict[str, Any] = reach(broker)
    except OSError as error:
        return _unreached(broker, error)
    text = f"{broker} answers in {detail['reach_ms']:.0f} ms"
    if broker.tls:
        text += f" by {detail['tls']}, its certificate is good for {detail['certificate_days']:.0f} days"
    if daemon.pid is not None:
        status = daemon.unit.get("StatusText", "")
        return Finding(
            "ok", f"{text}; the session is left to the daemon (pid {daemon.pid}). {status}".rstrip(), "", detail
        )
    for version in ("5", "3.1.1"):
        talk = Talk(broker, config, version)
        talk.run()
        if not talk.another_version:
            break
    return talk.finding(text, detail)


def reach(broker: Broker) -> dict[str, Any]:
    """Return how long TCP and TLS took, and what the broker's certificate says. Raises OSError, ssl.SSLError is one."""
    began = time.monotonic()
    with socket.create_connection((broker.host, broker.port), timeout=REACH_S) as plain:
        if broker.tls is None:
            return {"reach_ms": 1000.0 * (time.monotonic() - began)}
        with broker.tls.wrap_socket(plain, server_hostname=broker.host) as secure:
            ends = ssl.cert_time_to_seconds(str((secure.getpeercert() or {})["notAfter"]))
            return {
                "reach_ms": 1000.0 * (time.monotonic() - began),
                "tls": secure.version(),
                "certificate_days": (ends - SystemClock().wall()) / 86_400.0,
            }


def _unreached(broker: Broker, error: OSError) -> Finding:
    if isinstance(error, ssl.SSLCertVerificationError):
        fix = "Is mqtt.ca_file the broker's authority, and the clock right?"
        return Finding("fail", f"{broker}: its certificate is refused: {error.verify_message}", fix)
    if isinstance(error, ssl.SSLError):
        fix = "Is TLS spoken at this port, and mqtt.certificate_file known to the broker?"
        return Finding("fail", f"{broker}: no TLS: {error.reason or error}", fix)
    if isinstance(error, socket.gaierror):
        return Finding(
            "fail", f"{broker.host} has no address: {error.strerror}", "Check the name, and the network's DNS."
        )
    if isinstance(error, TimeoutError):
        fix = "A firewall may swallow it: try port 443 if the broker has it; ping the address."
        return Finding("fail", f"{broker} does not answer within {REACH_S:g} s", fix)
    return Finding("fail", f"{broker} cannot be reached: {error.strerror}", "Does the broker run, at this port?")


@dataclass
class Talk:
    """One short session: CONNECT, SUBSCRIBE, PUBLISH, DISCONNECT, with the time that each answer took."""

    broker: Broker
    config: Config
    version: Version
    problem: str = ""
    fix: str = ""
    another_version: bool = False
    """Whether this one was the broker's trouble."""
    refused: list[str] = field(default_factory=list)
    """What the access rules do not let this device do."""
    cloud: bool = False
    """Whether a word of the cloud's workers came."""
    echo_ms: float | None = None

    def __post_init__(self) -> None:
        self._answers = {name: threading.Event() for name in ("connect", "subscribe", "publish", "message")}
        self._over = threading.Event()
        site, device = self.config.site.name, self.config.device.name
        self._topic = topic(site, device, "health")
        self._heartbeat = topic(site, CLOUD, "availability")
        self._filters = [topic(site, device, "verdict"), f"{PREFIX}/{site}/{device}/command/+", self._heartbeat]

    def run(self) -> None:
        """Talk. What came of it stands in the fields."""
        client = self.broker.client(self.config.device.name, self.version)
        client.connect_timeout = REACH_S
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        try:
            client.connect(self.broker.host, self.broker.port, KEEPALIVE_S)
            client.loop_start()
            if self._answer("connect"):
                self._ask(client)
        except OSError as error:
            self.problem = self.problem or f"connection lost: {error}"
        finally:
            self._over.set()
            client.disconnect()
            client.loop_stop()

    def finding(self, reached: str, detail: dict[str, Any]) -> Finding:
        """Return what came of it; `reached` says how the broker was reached."""
        detail |= {"mqtt": self.version, "echo_ms": self.echo_ms, "refused": self.refused, "cloud": self.cloud}
        if self.problem:
            return Finding("fail", f"{reached}, but: {self.problem}", self.fix, detail)
        if self.refused:
            what = f"{reached}, but its access rules refuse: {', '.join(self.refused)}"
            own = f"{self.config.site.name}/{self.config.device.name}"
            fix = f"docs/protocol.md says what the broker's rules must let {own} do."
            return Finding("fail", what, fix, detail)
        text = f"{reached}; MQTT {self.version}, a message is acknowledged in {self.echo_ms:.0f} ms"
        if self.version == "3.1.1":
            text += " (3.1.1 cannot tell if it was refused)"
        return Finding("ok", f"{text}; cloud workers {'are there' if self.cloud else 'were not heard'}", detail=detail)

    def _ask(self, client: Client) -> None:
        client.subscribe([(each, 1) for each in self._filters])
        if not self._answer("subscribe"):
            return
        health = health_message(
            Headers(session=SESSION, mode=self.config.site.mode, clock=SystemClock()),
            clock=SystemClock(),
            started_at=SystemClock().monotonic(),
            sources={},
            timings=Timings(),
            outbox=(0, 0, 0),
        )
        began = time.monotonic()
        client.publish(self._topic, encode(health), qos=1)
        if self._answer("publish"):
            self.echo_ms = round(1000.0 * (time.monotonic() - began), 1)
            self._answers["message"].wait(HEARTBEAT_S)

    def _answer(self, name: str) -> bool:
        """Wait for an answer; False if none came or the talk has failed."""
        if not self._answers[name].wait(ANSWER_S) and not self.problem:
            # A broker that knows only 3.1.1 may stay silent on a CONNECT by 5 (amqtt does), or hang up.
            self.another_version = name == "connect" and self.version == "5"
            self.problem = f"no answer to {name.upper()} by MQTT {self.version} within {ANSWER_S:g} s"
            self.fix = "Is this an MQTT broker? Its log tells more."
        return not self.problem

    def _on_connect(self, _: Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        if reason.is_failure:
            self.another_version = reason.value == UNSUPPORTED_VERSION and self.version == "5"
            self.problem = f"the broker refuses this device: {reason}"
            self.fix = "Check mqtt.username, password_file and certificate, and device.name: rights may hang on it."
        self._answers["connect"].set()

    def _on_subscribe(self, _: Client, __: Any, ___: int, reasons: list[Any], ____: Any) -> None:
        said = zip(self._filters, reasons, strict=False)
        self.refused += [f"reading {each}" for each, reason in said if reason.value >= REFUSED]
        self._answers["subscribe"].set()

    def _on_publish(self, _: Client, __: Any, ___: int, reason: Any, ____: Any) -> None:
        if reason.value >= REFUSED:
            self.refused.append(f"writing {self._topic}")
        self._answers["publish"].set()

    def _on_message(self, _: Client, __: Any, message: Any) -> None:
        if message.topic == self._heartbeat:
            self.cloud = True
            self._answers["message"].set()

    def _on_disconnect(self, _: Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        if self._over.is_set() or self.problem:
            return
        if not self._answers["connect"].is_set():
            self.another_version = self.version == "5"
            self.problem = f"the broker hung up on a CONNECT by MQTT {self.version}"
        elif reason.value == SESSION_TAKEN_OVER:
            self.problem = f"another client calls itself {self.config.device.name}"
            self.fix = "Each device needs a name of its own (device.name)."
        else:
            self.problem = f"the broker hung up: {reason}"
            self.fix = "Its log tells why; often its access rules."
        for event in self._answers.values():
            event.set()
