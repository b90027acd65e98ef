"""`mien-edge replay`: media files through the same pipeline as a live device."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

import msgspec

from edge.assemble import Models, load_models
from edge.birth import birth_message
from edge.clock import SystemClock
from edge.config import build_config, load_config, with_alpha
from edge.connect import Connection
from edge.errors import CaptureError, ConfigError
from edge.ledger import Ledger, Row
from edge.policy import decide
from edge.present import Tally, row_printer, summary
from edge.replay import Player
from edge.settings import Config
from edge.text import printable

log = logging.getLogger(__name__)

STOP_S = 5.0
DELIVER_S = 30.0
"""Waited for a broker that was there and went away, so that no reading is lost."""
LATE_S = 2.0
"""Waited beyond the deadline, or after Ctrl-C, for verdicts that are on their way."""

DEMO_DEVICE = {
    "site": {"name": "demo", "mode": "demo", "setting": "private", "jurisdiction": "unknown"},
    "privacy": {"offload": "crops"},
    "device": {"name": "replay"},
    "face": {"detect_every": 1},
    "outbox": {"folder": ""},
}
"""What plays a clip when no --config names a device: it publishes to --broker alone, and says that it is a demo."""

FILES = {"camera": "file", "microphone": "file"}


def execute(options: argparse.Namespace) -> int:
    """Play the clips; 1 if any of them failed."""
    config = _config(options)
    models = load_models(config.models)
    for problem in models.problems:
        log.warning("going on without a model: %s", problem)
    return _Replay(options, config, models).run()


class _Replay:
    """One run of the command."""

    def __init__(self, options: argparse.Namespace, config: Config, models: Models) -> None:
        self._options, self._models = options, models
        self._deadline_s = config.gate.deadline_ms / 1000.0
        self._print_row = row_printer(json_lines=options.json, table=not options.json)
        self._tally = Tally()
        self._failed = self._stopping = False
        clock = SystemClock()
        self._ledger = Ledger(clock=clock, deadline_s=self._deadline_s, on_row=self._row)
        self._connection = Connection(config, clock=clock)
        self._player = Player(
            config,
            models,
            outlet=self._connection,
            headers=self._connection.headers,
            clock=clock,
            on_reading=self._ledger.add,
            on_failure=self._clip_failed,
            realtime=options.realtime,
        )
        self._config = config

    def run(self) -> int:
        """Play, wait for the verdicts, sum up."""
        config = self._config
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        self._connection.start(
            birth=lambda: birth_message(self._connection.headers, config, self._models, FILES),
            on_verdict=self._ledger.answer,
            on_command=lambda command: log.info("a replay does not do %s", command.verb),
        )
        if config.mqtt.broker and not self._connection.wait_for_cloud(self._options.wait_cloud):
            log.warning("no cloud worker was heard within %g s; going on without", self._options.wait_cloud)
        allowed = decide(config.declared_site(), now=SystemClock().wall())
        if not allowed.publish_readings:
            print(f"mien-edge: the policy lets no readings out: {allowed.why}", file=sys.stderr, flush=True)
        self._play()
        self._ledger.wait(LATE_S if self._stopping else self._deadline_s + LATE_S)
        if not self._connection.wait_delivered(DELIVER_S):
            log.warning("the broker went away and did not come back: some readings were not delivered")
        self._connection.stop(STOP_S)
        text = summary(self._player.cost(), self._tally)
        print(text, file=sys.stderr if self._options.json else sys.stdout, flush=True)
        return 1 if self._failed else 0

    def _play(self) -> None:
        while not self._stopping:
            for clip in self._options.clips:
                if not self._stopping:
                    self._player.play(clip)
            if not self._options.loop or self._failed:
                return

    def _stop(self) -> None:
        self._stopping = True
        self._player.stop()

    def _row(self, row: Row) -> None:
        self._tally.add(row)
        try:
            self._print_row(row)
        except BrokenPipeError:  # whoever read us has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._stop()

    def _clip_failed(self, clip: str, error: CaptureError) -> None:
        self._failed = True
        print(printable(f"mien-edge: {clip}: {error}"), file=sys.stderr, flush=True)


def _config(options: argparse.Namespace) -> Config:
    config = load_config(options.config) if options.config else build_config(DEMO_DEVICE, environment=os.environ)
    config = with_alpha(config, options.alpha)
    if options.broker:
        config = msgspec.structs.replace(config, mqtt=msgspec.structs.replace(config.mqtt, broker=options.broker))
    if options.loop and not options.realtime:
        raise ConfigError("--loop without --realtime would never end", fix="Add --realtime.")
    return config
