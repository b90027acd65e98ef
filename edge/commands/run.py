"""`mien-edge run`: the daemon."""

from __future__ import annotations

import argparse
import signal
from functools import partial

from edge.assemble import load_models
from edge.capture.camera import open_camera
from edge.capture.microphone import open_microphone
from edge.clock import SystemClock
from edge.config import load_config
from edge.connect import Connection
from edge.daemon import Daemon
from edge.ledger import Ledger
from edge.present import row_printer
from edge.protocol import Verdict
from edge.settings import Config
from edge.supervise import Opener

STOP_S = 5.0


def execute(options: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    config = load_config(options.config)
    models = load_models(config.models)
    clock = SystemClock()
    connection = Connection(config, clock=clock)
    printer = row_printer(json_lines=options.json, table=options.table)
    ledger = Ledger(clock=clock, deadline_s=config.gate.deadline_ms / 1000.0, on_row=printer)
    daemon = Daemon(
        config,
        models,
        outlet=connection,
        headers=connection.headers,
        clock=clock,
        camera=_camera(config),
        microphone=_microphone(config),
        outbox_state=connection.outbox_state,
        on_reading=partial(ledger.add, "live"),
    )

    def on_verdict(verdict: Verdict) -> None:
        daemon.on_verdict(verdict)
        ledger.answer(verdict)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    connection.start(birth=daemon.birth, on_verdict=on_verdict, on_command=daemon.on_command)
    daemon.run()
    ledger.wait(0.0)
    connection.stop(STOP_S)
    return 0


def _camera(config: Config) -> Opener | None:
    camera = config.camera
    if not camera.source:
        return None
    return lambda: open_camera(
        camera.source,
        fps=camera.fps,
        width=camera.width,
        height=camera.height,
        rotation=camera.rotation,
        mirror=camera.mirror,
        flicker_hz=camera.flicker_hz,
    )


def _microphone(config: Config) -> Opener | None:
    card = config.microphone.card
    return None if card is None else lambda: open_microphone(card)
