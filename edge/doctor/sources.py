"""Checks of camera and microphone: each in a process of its own, which can be ended where a driver hangs or crashes.

The probing itself is in `probe`. What is seen and heard is judged in that process's memory and nowhere stored.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from edge.doctor.ground import Ground
from edge.doctor.report import Finding

PROBE_S = 25.0
"""For a probe to open its device and judge it, beyond what --look and --listen ask it to wait."""

Kind = Literal["camera", "microphone"]


def check_camera(ground: Ground) -> Finding:
    """Say whether the camera opens, at which rate, and whether there is a face."""
    if not ground.config.camera.source:
        return Finding("skip", "none configured (camera.source)")
    return _closed(ground) or _probe("camera", ground, ground.look_s)


def check_microphone(ground: Ground) -> Finding:
    """Say whether the microphone opens, how loud it is, and whether there is a voice."""
    if ground.config.microphone.card is None:
        return Finding("skip", "none configured (microphone.card)")
    return _closed(ground) or _probe("microphone", ground, ground.listen_s)


def _closed(ground: Ground) -> Finding | None:
    if not ground.allowed.open_devices:
        return Finding("skip", f"not opened: {ground.allowed.why}")
    if ground.daemon.pid is not None:
        status = ground.daemon.unit.get("StatusText") or "its health messages say how it does"
        what = f"not opened: the daemon (pid {ground.daemon.pid}) has it; {status}"
        return Finding("skip", what, "To try it here: systemctl stop mien-edge, then this command again.")
    return None


def _probe(kind: Kind, ground: Ground, wait_s: float | None) -> Finding:
    order = msgspec.json.encode({"config": ground.config, "wait_s": wait_s})
    limit_s = PROBE_S + (wait_s or 0.0)
    # A session of its own: what the probe starts (libcamera runs in a child) is ended with it.
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.doctor.probe", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": _import_path()},
        start_new_session=True,
    )
    try:
        out, err = process.communicate(order, timeout=limit_s)
    except subprocess.TimeoutExpired:
        what = f"the {kind} gives no answer within {limit_s:g} s: it hangs, or this machine is overloaded"
        return Finding("fail", what, "Unplug it and plug it in again, or restart; dmesg may say what its driver does.")
    finally:
        _end(process)
    try:
        return msgspec.json.decode(out, type=Finding)
    except msgspec.MsgspecError:
        words = err.decode(errors="replace").strip().splitlines()
        reason = words[-1] if words else f"ended with status {process.returncode}"
        return Finding("fail", f"trying the {kind} crashed: {reason}", "mien-edge devices lists what there is.")


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel dies only when that lets go
        process.wait(1.0)


def _import_path() -> str:
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(each for each in (here, os.environ.get("PYTHONPATH", "")) if each)
