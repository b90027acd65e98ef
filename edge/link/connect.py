"""One connection after another: connect, hold, wait with jitter, connect again.

Every connection has a paho client of its own. paho would otherwise keep what is unacknowledged, send it again after a
reconnect and answer for it under old numbers, beside an outbox that does the same; and its clients speak one protocol
version for life, while we must find out which one the broker speaks. So each client gets clean_start and is thrown
away with its connection, what it had not brought to an end goes back to the courier, and the broker keeps no session
for us either: all it could queue are verdicts and commands that are stale within seconds.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Callable

from edge.link.attempts import SHORT_LIMIT, SHORT_S, Backoff, Fights, Versions
from edge.link.broker import Broker, Version
from edge.link.connection import Connection, Ending, Handlers, Will
from edge.progress import Heart

log = logging.getLogger(__name__)

ATTEMPT_LIMIT_S = 180.0
"""For one attempt: resolving a name with the network half up takes a minute, TCP, TLS and CONNECT 10 s each at most."""
REST_S = 3600.0
"""Before the next attempt after what only looks like a fight. After one that the broker calls so there is none."""


class Connector:
    """Keeps a connection to the broker up until it is stopped or another client takes our name.

    The waits between attempts are drawn by `jitter(0, x)` with x growing from `backoff_s[0]` to `backoff_s[1]` seconds
    ("full jitter": thousands of devices must not come back in step after a broker's restart). `on_up` gets each
    connection that the broker has accepted, `on_down` the same one once no acknowledgement comes from it any more.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        client_id: str,
        will: Will,
        keepalive_s: int,
        backoff_s: tuple[float, float],
        handlers: Handlers,
        on_up: Callable[[Connection], None],
        on_down: Callable[[Connection], None],
        on_taken_over: Callable[[], None],
        heart: Heart,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._broker, self._client_id, self._will = broker, client_id, will
        self._keepalive_s, self._handlers, self._heart = keepalive_s, handlers, heart
        self._on_up, self._on_down, self._on_taken_over = on_up, on_down, on_taken_over
        self._backoff = Backoff(*backoff_s, jitter)
        self._versions, self._fights = Versions(), Fights()
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mien-link-connect", daemon=True)
        self.connects = 0
        """Connections that the broker accepted."""
        self.last_problem = ""
        """Why the last attempt failed or the last connection ended; empty while one is up."""

    @property
    def version(self) -> Version:
        """The protocol version of this or the next connection."""
        return self._versions.current

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End the connection in good order, so that the broker does not publish the last will."""
        self._stopping.set()
        connection = self._connection
        if connection is not None:
            connection.end(Ending("stopped", "stopped"))
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        self._keep_up()
        self._heart.rest()

    def _pause(self, seconds: float) -> None:
        self._heart.beat(seconds + ATTEMPT_LIMIT_S)
        self._stopping.wait(seconds)

    def _keep_up(self) -> None:
        while not self._stopping.is_set():
            self._heart.beat(ATTEMPT_LIMIT_S)
            ending = self._attempt()
            self.last_problem = ending.text
            if self._stopping.is_set():
                return
            if ending.kind == "taken over":
                self._give_way(f"{ending.text}. The link stops; restart the daemon when the other one is gone")
                return
            if self._fights.suspected:
                self._give_way(
                    f"closed {SHORT_LIMIT} times in a row within {SHORT_S:g} s: another client uses this device's "
                    f"name, or this one does what the broker forbids. The link rests for {REST_S:g} s"
                )
                self._fights.explained()
                self._pause(REST_S)
            elif self._versions.failed(ending):
                log.info("%s: %s; trying MQTT %s", self._broker, ending.text, self.version)
            else:
                wait_s = self._backoff.next_s()
                log.info("%s: %s; next attempt in %.1f s", self._broker, ending.text, wait_s)
                self._pause(wait_s)

    def _attempt(self) -> Ending:
        client = self._broker.client(self._client_id, self.version)
        connection = Connection(client, version=self.version, will=self._will, handlers=self._handlers)
        try:
            refusal = connection.open(self._broker.host, self._broker.port, keepalive_s=self._keepalive_s)
            return self._hold(connection) if refusal is None else refusal
        except (OSError, ValueError) as error:  # ValueError: a host name that cannot be one
            self._fights.explained()
            return Ending("absent", _reason(error))
        finally:
            connection.close()

    def _hold(self, connection: Connection) -> Ending:
        began = time.monotonic()
        log.info("%s: connected by MQTT %s", self._broker, self.version)
        self._versions.accepted()
        self.connects += 1
        self.last_problem = ""
        self._connection = connection
        self._on_up(connection)
        try:
            ending = connection.wait(self._stopping, alive=lambda: self._heart.beat(ATTEMPT_LIMIT_S))
        finally:
            self._connection = None
            connection.close()
            self._on_down(connection)
        lasted_s = time.monotonic() - began
        self._fights.ended(ending, lasted_s)
        self._backoff.ended(lasted_s)
        return ending

    def _give_way(self, text: str) -> None:
        self.last_problem = text
        log.error("%s: %s", self._broker, text)
        self._on_taken_over()


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved ({error.strerror})"
    return f"cannot be reached ({getattr(error, 'strerror', None) or error})"
