"""Runs the checks one after the other, none longer than its time limit, and none able to end the others."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from edge.doctor import access, board, broker, software, sources
from edge.doctor.daemon import check_daemon
from edge.doctor.ground import Ground
from edge.doctor.report import CHECKS, Finding, Line
from edge.errors import MienError

LIMIT_S = 30.0
"""For one check, beyond what --look and --listen ask it to wait."""

NEED_SETTINGS = frozenset({"mode", "camera", "microphone", "broker", "certificates", "disk", "permissions"})

FUNCTIONS: dict[str, Callable[[Ground], Finding]] = {
    "config": software.check_config,
    "mode": software.check_mode,
    "daemon": lambda ground: check_daemon(ground.daemon),
    "runtime": software.check_runtime,
    "models": software.check_models,
    "camera": sources.check_camera,
    "microphone": sources.check_microphone,
    "broker": broker.check_broker,
    "certificates": access.check_certificates,
    "clock": board.check_clock,
    "disk": board.check_disk,
    "memory": board.check_memory,
    "temperature": board.check_temperature,
    "power": board.check_power,
    "permissions": access.check_permissions,
}


def examine(ground: Ground, checks: Sequence[str] = CHECKS, *, limit_s: float = LIMIT_S) -> Iterator[Line]:
    """Do the `checks`, in the order of CHECKS; yields each line as soon as it is known."""
    for name in CHECKS:
        if name in checks:
            began = time.monotonic()
            yield Line(name, _limited(name, ground, limit_s), time.monotonic() - began)


def _limited(name: str, ground: Ground, limit_s: float) -> Finding:
    if name in NEED_SETTINGS and ground.loaded is None:
        return Finding("skip", "needs settings that are right")
    waits = {"camera": ground.look_s, "microphone": ground.listen_s}.get(name) or 0.0
    answer: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    # A thread that hangs in the kernel cannot be ended; as a daemon it does not keep the program from ending.
    threading.Thread(target=lambda: answer.put(_guarded(name, ground)), name=f"doctor-{name}", daemon=True).start()
    with suppress(queue.Empty):
        return answer.get(timeout=limit_s + waits)
    what = f"no answer within {limit_s + waits:g} s"
    return Finding("fail", what, "Something below hangs: a driver, a disk or the network; dmesg may say which.")


def _guarded(name: str, ground: Ground) -> Finding:
    try:
        return FUNCTIONS[name](ground)
    except MienError as error:
        return Finding("fail", error.what, error.fix)
    except Exception as error:  # noqa: BLE001 - one check's mistake must not hide what the others find
        return Finding("fail", f"the check itself failed: {type(error).__name__}: {error}", "Please report this.")
