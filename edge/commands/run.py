"""`mien-edge run`: the daemon, as systemd's service or on a terminal."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge.assemble import load_models
from edge.capture.camera import open_camera
from edge.capture.microphone import open_microphone
from edge.clock import SystemClock
from edge.config import load_config
from edge.connect import Connection
from edge.daemon import Daemon
from edge.errors import ConfigError, LinkError, PolicyError
from edge.gpio import GpioOutput, GpioSwitch
from edge.indicator import Indicator, lit
from edge.journal import report
from edge.last_good import choose_config, keep_last_good, state_folder
from edge.ledger import Ledger
from edge.mute import Mute, mute_file
from edge.notify import Notifier
from edge.ownership import require_safe_policy_file
from edge.present import row_printer
from edge.progress import Progress
from edge.service import Service
from edge.settings import Config
from edge.supervise import Opener

log = logging.getLogger(__name__)


def execute(options: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP reads the settings again.

    Returns 0, or 78 (EX_CONFIG of sysexits.h) if the settings cannot be used: the unit does not restart after that.
    """
    faulthandler.enable(
        sys.__stderr__ or 2
    )  # the watchdog kills by SIGABRT: the journal then shows where each thread stood
    stopping, reloading = threading.Event(), threading.Event()
    # From the first moment on: unhandled, a SIGHUP while the models load would end the process.
    _on_signals(stopping.set, reloading.set)
    try:
        service = _service(options)
        _on_signals(service.stop, service.reload)
        if reloading.is_set():
            service.reload()
        if stopping.is_set():
            service.stop()
        service.run()
    except (ConfigError, LinkError, PolicyError) as error:
        report(error)
        return os.EX_CONFIG
    return 0


def _on_signals(stop: Callable[[], None], reload: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    signal.signal(signal.SIGHUP, lambda *_: reload())


def _service(options: argparse.Namespace) -> Service:
    notifier = Notifier()
    notifier.status("loading the models")
    chosen = choose_config(options.config, state_folder())
    config = chosen.config
    require_safe_policy_file(options.config, config.site.mode)
    models = load_models(config.models)
    clock = SystemClock()
    connection = Connection(config, clock=clock)
    progress = Progress(clock)
    printer = row_printer(json_lines=options.json, table=options.table)
    ledger = Ledger(clock=clock, deadline_s=config.gate.deadline_ms / 1000.0, on_row=printer)
    # Pins are taken once: a reload keeps the light and the switch.
    light, mute = _light(config), _mute(config)

    def build(config: Config, *, before: Daemon | None, on_turn: Callable[[], None]) -> Daemon:
        return Daemon(
            config,
            models,
            outlet=connection,
            headers=connection.headers,
            clock=clock,
            camera=light(_camera(config)),
            microphone=light(_microphone(config)),
            mute=mute,
            outbox_state=connection.outbox_state,
            on_reading=partial(ledger.add, "live"),
            on_turn=on_turn,
            progress=progress,
            before=before,
        )

    return Service(
        config,
        warning=chosen.warning(),
        read=partial(_read, options.config),
        keep=partial(_keep, options.config),
        build=build,
        connection=connection,
        clock=clock,
        notifier=notifier,
        progress=progress,
        on_verdict=ledger.answer,
    )


def _read(path: Path) -> Config:
    """Return the settings for a reload. Raises ConfigError, and PolicyError if others than root may change the file."""
    config = load_config(path)
    require_safe_policy_file(path, config.site.mode)
    return config


def _keep(path: Path, config: Config) -> None:
    """Keep settings that the daemon works with as the last good ones of their file."""
    try:
        keep_last_good(config, path, state_folder())
    except OSError as error:
        log.warning("the settings cannot be kept as the last good ones: %s", error)


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
        focus_m=camera.focus_m,
        infrared=camera.infrared,
    )


def _microphone(config: Config) -> Opener | None:
    card = config.microphone.card
    return None if card is None else lambda: open_microphone(card)


def _light(config: Config) -> Callable[[Opener | None], Opener | None]:
    """Return what makes an opener light the recording light, if there is one."""
    if config.indicator.pin is None:
        return lambda opener: opener
    indicator = Indicator(GpioOutput(config.indicator.pin, active_high=config.indicator.active_high))
    return lambda opener: None if opener is None else lit(opener, indicator)


def _mute(config: Config) -> Mute:
    settings = config.mute
    switch = None if settings.pin is None else GpioSwitch(settings.pin, active_high=settings.active_high)
    return Mute(mute_file(config.outbox.folder), switch)
