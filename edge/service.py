"""The service around the daemon: one link for its whole life, a new `Daemon` whenever the settings change.

SIGHUP reads the settings again. What can take effect does, by a new daemon over the same link, session and models: the
sources are closed and opened again, nothing that was published or stored is lost. What needs a restart is named. If the
settings are wrong the daemon goes on with those that it has.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from edge.clock import Clock
from edge.connect import Connection
from edge.daemon import Daemon
from edge.errors import ConfigError, MienError
from edge.notify import Notifier
from edge.progress import Progress
from edge.protocol import Birth, Command, Event, Verdict
from edge.reload import Plan, plan_reload
from edge.settings import Config

log = logging.getLogger(__name__)

LINK_STOP_S = 2.0
STATUS_EVERY_S = 2.0


class Build(Protocol):
    """Makes a daemon for these settings; `on_turn` is to be called at each turn of its loop."""

    def __call__(self, config: Config, *, before: Daemon | None, on_turn: Callable[[], None]) -> Daemon:
        """Return the daemon that goes on where the one `before`, already ended, stopped. Raises MienError."""


class Service:
    """Runs daemons until it is stopped.

    `read` reads the settings again, `keep` keeps those that are in use as the last good ones. `warning` says why
    `config` is not what stands in the file. `connection` is not started yet.
    """

    def __init__(
        self,
        config: Config,
        *,
        warning: str = "",
        read: Callable[[], Config],
        keep: Callable[[Config], None],
        build: Build,
        connection: Connection,
        clock: Clock,
        notifier: Notifier,
        progress: Progress,
        on_verdict: Callable[[Verdict], None] = lambda _: None,
    ) -> None:
        self._config, self._read, self._keep, self._build = config, read, keep, build
        self._connection, self._clock = connection, clock
        self._notifier, self._progress, self._on_verdict = notifier, progress, on_verdict
        self._stopping, self._reloading = threading.Event(), threading.Event()
        self._plan: Plan | None = None
        self._ready = False
        self._warning = warning
        self._stuck: set[str] = set()
        self._status_at = 0.0
        self._daemon = build(config, before=None, on_turn=self._turn)

    def run(self) -> None:
        """Work until `stop` is called."""
        self._connection.start(
            birth=self._birth,
            on_verdict=self._take_verdict,
            on_command=self._take_command,
            progress=self._progress,
        )
        if self._warning:
            log.error("%s", self._warning, extra={"MIEN_CODE": ConfigError.code})
            self._publish("config-invalid", self._warning, {})
        else:
            self._keep(self._config)
        self._daemon.run()
        while self._plan is not None and not self._stopping.is_set():
            self._swap(self._plan)
            self._daemon.run()
        self._connection.stop(LINK_STOP_S)

    def stop(self) -> None:
        """Ask `run` to end; for signal handlers, too."""
        self._notifier.stopping()
        self._stopping.set()

    def reload(self) -> None:
        """Ask for the settings to be read again; for signal handlers, too."""
        self._reloading.set()

    # The link knows these, not the daemon's own methods: the daemon of the next reload is another.
    def _birth(self) -> Birth:
        return self._daemon.birth()

    def _take_command(self, command: Command) -> None:
        self._daemon.on_command(command)

    def _take_verdict(self, verdict: Verdict) -> None:
        self._daemon.on_verdict(verdict)
        self._on_verdict(verdict)

    def _turn(self) -> None:
        """Do what is due at a turn of the daemon's loop, in its thread."""
        if self._stopping.is_set():
            self._daemon.stop()
            return
        now = self._clock.monotonic()
        if self._reloading.is_set():
            self._reloading.clear()
            self._reload()
        elif not self._ready:
            self._ready = True
            self._notifier.ready(self._status())
        elif now - self._status_at >= STATUS_EVERY_S:
            self._status_at = now
            self._notifier.status(self._status())
        if not self._hanging():
            self._notifier.alive(now)

    def _hanging(self) -> bool:
        """Tell whether any worker hangs: then the watchdog gets no food, and systemd restarts the service."""
        stuck = self._progress.stuck()
        for name in stuck.keys() - self._stuck:
            log.critical(
                "%s hangs: no progress within its time limit; leaving it to the watchdog",
                name,
                extra={"MIEN_CODE": "stuck", "MIEN_SOURCE": name},
            )
        self._stuck = set(stuck)
        return bool(stuck)

    def _reload(self) -> None:
        self._notifier.reloading()
        self._ready = False  # said at the next turn: of this daemon, or of the next one
        try:
            plan = plan_reload(self._config, self._read())
        except MienError as error:
            self._warning = f"settings not reloaded: {error}"
            log.error("the settings are wrong and stay as they were: %s", error, extra={"MIEN_CODE": error.code})  # noqa: TRY400 - no traceback: it is the file that errs
            self._publish("config-refused", str(error), {"code": error.code})
            return
        self._warning = f"restart needed for {', '.join(plan.restart)}" if plan.restart else ""
        level = logging.WARNING if plan.restart else logging.INFO
        log.log(level, "settings read again; %s", plan, extra={"MIEN_CODE": "config-reloaded"})
        if plan.live:
            self._plan = plan
            self._daemon.stop()
        else:
            self._tell(plan)

    def _swap(self, plan: Plan) -> None:
        """Replace the daemon, which has ended, by one for the new settings; by one for the old if there can be none."""
        self._plan = None
        try:
            self._daemon = self._build(plan.config, before=self._daemon, on_turn=self._turn)
        except MienError as error:
            log.error("the new settings cannot be used, the old ones stay: %s", error, extra={"MIEN_CODE": error.code})  # noqa: TRY400
            self._warning = f"settings not reloaded: {error}"
            self._publish("config-refused", str(error), {"code": error.code})
            self._daemon = self._build(self._config, before=self._daemon, on_turn=self._turn)
            return
        self._config = plan.config
        self._connection.headers.mode = plan.config.site.mode
        self._connection.publish("birth", self._daemon.birth())
        self._tell(plan)

    def _tell(self, plan: Plan) -> None:
        self._keep(plan.config)
        detail = {"changed": ", ".join(plan.live)[:500], "restart": ", ".join(plan.restart)[:500]}
        self._publish("config-reloaded", str(plan), detail)

    def _publish(self, kind: str, text: str, detail: dict[str, str]) -> None:
        headers = self._connection.headers
        self._connection.publish("event", Event(**headers.next(), type=kind, text=text[:1000], detail=detail))

    def _status(self) -> str:
        parts = self._daemon.words()
        rows, _, dropped = self._connection.outbox_state()
        parts += [self._connection.state(), f"outbox {rows}" + (f", {dropped} dropped" if dropped else "")]
        if self._warning:
            parts.insert(0, self._warning)
        return "; ".join(" ".join(part.split()) for part in parts)
