"""The device's connection to its broker: session, headers, outbox and link, or none of it where no broker is set."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edge.clock import Clock
from edge.errors import ConfigError
from edge.header import Headers
from edge.link.outbox import Outbox
from edge.link.session import Link
from edge.progress import Progress
from edge.protocol import AnyMessage, Birth, Command, Event, Evidence, Verdict
from edge.settings import Config

POLL_S = 0.05


class Connection:
    """Where the readings of this process go. Without a broker they go nowhere, and no cloud is present.

    Raises OutboxError if the folder of the outbox cannot be used at all.
    """

    def __init__(self, config: Config, *, clock: Clock) -> None:
        self._config, self._clock = config, clock
        settings = config.outbox
        self._outbox = Outbox(
            Path(settings.folder) / "outbox.sqlite" if config.mqtt.broker and settings.folder else None,
            clock=clock,
            max_bytes=int(settings.max_mb * 1e6),
            max_age_s=settings.max_age_h * 3600.0,
        )
        self.headers = Headers(session=self._outbox.next_session(), mode=config.site.mode, clock=clock)
        self._link: Link | None = None

    def start(
        self,
        *,
        birth: Callable[[], Birth],
        on_verdict: Callable[[Verdict], None],
        on_command: Callable[[Command], None],
        progress: Progress | None = None,
    ) -> None:
        """Begin to connect; returns at once, whether or not there is a network."""
        mqtt = self._config.mqtt
        if not mqtt.broker:
            return
        self._link = Link(
            broker=mqtt.broker,
            site=self._config.site.name,
            device=self._config.device.name,
            session=self.headers.session,
            outbox=self._outbox,
            clock=self._clock,
            birth=birth,
            on_verdict=on_verdict,
            on_command=on_command,
            on_taken_over=self._taken_over,
            username=mqtt.username or None,
            password=read_password(mqtt.password_file),
            ca_file=mqtt.ca_file or None,
            certificate_file=mqtt.certificate_file or None,
            key_file=mqtt.key_file or None,
            progress=progress,
        )
        self._link.start()

    def stop(self, timeout_s: float) -> None:
        """Deliver or spool what is outstanding, within `timeout_s`, and disconnect."""
        if self._link is not None:
            self._link.stop(timeout_s)
        self._outbox.close()

    def wait_for_cloud(self, timeout_s: float) -> bool:
        """Return whether a cloud worker was heard within `timeout_s`."""
        until = self._clock.monotonic() + timeout_s
        while not self.cloud_present and self._clock.monotonic() < until:
            time.sleep(POLL_S)
        return self.cloud_present

    def wait_delivered(self, timeout_s: float) -> bool:
        """Wait for a broker that was there before to come back and empty the outbox; False if it does not."""
        link = self._link
        if link is None or not link.stats().connects:
            return not self._outbox.rows
        until = self._clock.monotonic() + timeout_s
        while not link.connected or self._outbox.rows:
            if self._clock.monotonic() >= until:
                return False
            time.sleep(POLL_S)
        return True

    @property
    def cloud_present(self) -> bool:
        """See `edge.pipeline.Outlet`."""
        return self._link is not None and self._link.cloud_present

    def state(self) -> str:
        """Return in words how it stands with the broker."""
        if self._link is None:
            return "no broker"
        stats = self._link.stats()
        return "broker connected" if stats.connected else f"broker away ({stats.problem or 'connecting'})"

    def publish(self, kind: str, message: AnyMessage) -> None:
        """See `edge.pipeline.Outlet`."""
        if self._link is not None:
            self._link.publish(kind, message)

    def request(self, evidence: Evidence) -> bool:
        """See `edge.pipeline.Outlet`."""
        return self._link is not None and self._link.request(evidence)

    def outbox_state(self) -> tuple[int, int, int]:
        """Return (rows, bytes, dropped) of the outbox."""
        return self._outbox.rows, self._outbox.bytes, self._outbox.dropped

    def _taken_over(self) -> None:
        """Say that another client with this device's name pushed this one off the broker."""
        text = f"another client calls itself {self._config.device.name}; this one stopped connecting"
        self.publish("event", Event(**self.headers.next(), type="taken-over", text=text))


def read_password(file: str) -> str | None:
    """Return the broker's password that stands in `file`, None for no file. Raises ConfigError."""
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"mqtt.password_file: {file} cannot be read: {error}", fix="Check its name and owner"
        ) from error
