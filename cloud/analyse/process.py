"""The service's side of the child processes: start, ask, time out, kill."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from cloud.analyse import wire
from cloud.analyse.limits import Limits
from cloud.errors import AnalysisError

log = logging.getLogger(__name__)

KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")
"""The rest may hold secrets, e.g. the database's address."""


class Child:
    """One child process, for one analysis or one webcam page. Used by one thread at a time.

    with Child(models, detector, limits) as child:
        facts = child.ask({"do": "open", "name": "a.mp4"}, fd=file.fileno())
    """

    def __init__(self, models: Path, detector: Path | None, limits: Limits) -> None:
        self._silence_s = limits.silence_s
        orders = {
            "models": str(models.resolve()),
            "detector": None if detector is None else str(detector.resolve()),
            "max_pixels": limits.max_pixels,
            "max_duration_s": limits.max_duration_s,
            "memory_bytes": limits.memory_bytes,
            "open_cpu_s": limits.open_cpu_s,
            "cpu_per_second": limits.cpu_per_second,
            "least_cpu_s": limits.least_cpu_s,
            "live_pixels": limits.live_pixels,
        }
        self._connection, theirs = socket.socketpair()
        self._connection.settimeout(self._silence_s)
        command = [
            sys.executable,
            "-m",
            "cloud.analyse.child",
            str(theirs.fileno()),
            msgspec.json.encode(orders).decode(),
        ]
        with theirs:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_environment(limits),
                start_new_session=True,  # Ctrl-C is for the service, which then ends its children
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(
        self, request: dict[str, Any], *, fd: int | None = None, progress: Callable[[float], None] = lambda _: None
    ) -> Any:
        """Return the answer, as plain objects. Raises AnalysisError where a file is refused or the child dies of it."""
        try:
            wire.send(self._connection, request, fds=() if fd is None else (fd,))
            while True:
                answer, _ = wire.receive(self._connection)
                if "progress" in answer:
                    progress(float(answer["progress"]))
                elif "error" in answer:
                    raise AnalysisError(str(answer["error"]), fix=str(answer["fix"]))
                elif "ok" in answer:
                    return answer["ok"]
                else:
                    log.error("the child that decodes failed: %s", answer["broken"])
                    break
        except TimeoutError:
            self.close()
            raise AnalysisError("decoding it does not come to an end", fix="Convert it, e.g. with ffmpeg.") from None
        except (EOFError, OSError, ValueError, msgspec.MsgspecError, KeyError, TypeError) as error:
            status = self.close(grace_s=1.0)
            log.warning("the child that decodes ended with status %s: %r", status, error)
            raise _gave_up() from error
        self.close()
        raise _gave_up()

    def kill(self) -> None:
        """End the process, whatever it does: a thread that waits in `ask` gets its error. May be called by any."""
        self._process.kill()

    def close(self, *, grace_s: float = 0.0) -> int:
        """End the process and wait for it; return its exit status. Harmless when done twice."""
        if grace_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        self._process.kill()
        status = self._process.wait()
        self._connection.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Nursery:
    """Hands out children, and has the next one ready: starting one takes a second, mostly imports."""

    def __init__(self, models: Path, detector: Path | None, limits: Limits) -> None:
        self._models, self._detector, self._limits = models, detector, limits
        self._lock = threading.Lock()
        self._spare: Child | None = None
        self._since_s = 0.0
        self._closed = False

    def take(self) -> Child:
        """Return a child that nobody else has; the caller closes it."""
        with self._lock:
            child, self._spare = self._spare, None
        return child or self._start()

    def prepare(self) -> None:
        """Start the spare child if there is none: for the moment when somebody is about to need one."""
        with self._lock:
            if self._spare is None and not self._closed:
                self._spare, self._since_s = self._start(), time.monotonic()

    def rest(self, *, unused_s: float = 0.0) -> None:
        """Let go of the spare child if it has been waiting for so long."""
        with self._lock:
            if time.monotonic() - self._since_s < unused_s:
                return
            child, self._spare = self._spare, None
        if child is not None:
            child.close()

    def close(self) -> None:
        """Rest for good."""
        self._closed = True
        self.rest()

    def _start(self) -> Child:
        return Child(self._models, self._detector, self._limits)


def _gave_up() -> AnalysisError:
    fix = "It is damaged or made to harm; if it plays elsewhere, convert it, e.g. with ffmpeg."
    return AnalysisError("the decoder gave up on it", fix=fix)


def _environment(limits: Limits) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join(str(Path(entry or ".").resolve()) for entry in sys.path)
    return kept | one_thread | {"PYTHONPATH": path, "OPENCV_IO_MAX_IMAGE_PIXELS": str(limits.max_pixels)}
