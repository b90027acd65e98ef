"""The child process: opens, decodes and judges what it is given, and can do little else.

    python -m cloud.analyse.child SOCKET ORDERS

It writes no file, opens few, takes so much memory and processor time and no more; it sees of the service nothing but
one socket and the files that come through it. Whatever a file does to FFmpeg or OpenCV, it does it here.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av.logging
import cv2
import msgspec

from cloud.analyse import pictures, wire
from cloud.analyse.perceive import Eye, Film
from cloud.analyse.results import Facts, FrameSeen, MediaResult
from cloud.errors import AnalysisError
from cloud.inference.full import FullModels
from edge.capture.decode import opened
from edge.capture.media import MediaFile
from edge.emotions import EMOTIONS
from edge.errors import CaptureError
from edge.perception.detect import open_detector
from edge.protocol import Distribution, distribution
from edge.temporal import TemporalFilter

PROGRESS_EVERY_S = 0.2
NICENESS = 5
NO_NEW_PRIVILEGES = 38
"""prctl's PR_SET_NO_NEW_PRIVS."""

LIVE_STAY = 0.85
"""Of the webcam page's filter: pictures follow each other faster than windows."""

MISSING_S = 1.0
"""Less than this between what the header says and what was decoded is the codec's own padding."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What the service tells the child when it starts it."""

    models: str
    detector: str | None
    max_pixels: int
    max_duration_s: float
    memory_bytes: int
    open_cpu_s: int
    cpu_per_second: float
    least_cpu_s: int
    live_pixels: int


class LiveFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One picture of the webcam page."""

    frame: FrameSeen
    running: Distribution | None
    """Of the largest face, filtered over time; None while there is none."""
    unsure: bool
    """Whether that face alone, as it is in this picture, would be an unsure reading."""


class Child:
    """Answers requests until the service is gone."""

    def __init__(self, connection: socket.socket, orders: Orders) -> None:
        self._connection, self._orders = connection, orders
        self._models = FullModels(Path(orders.models))
        self._detector = open_detector(None if orders.detector is None else Path(orders.detector))
        self._files: list[tuple[Path, str, Facts, float | None]] = []
        self._yielding = False
        self._eye = Eye(self._models, self._detector, glance=True)
        self._running = TemporalFilter(stay=LIVE_STAY)

    def serve(self) -> None:
        """Work until the socket closes."""
        doing: dict[str, Callable[..., Any]] = {"open": self.open, "run": self.run, "see": self.see}
        while True:
            request, fds = wire.receive(self._connection, max_fds=1)
            try:
                answer = {"ok": msgspec.to_builtins(doing[request.pop("do")](*fds, **request))}
            except AnalysisError as error:
                answer = {"error": error.what, "fix": error.fix}
            except CaptureError as error:
                answer = {"error": error.what.replace(str(self._path_of(fds)), "the file"), "fix": error.fix}
            except MemoryError:
                answer = {"error": "it takes too much memory to decode", "fix": "Make it smaller."}
            except Exception:  # noqa: BLE001 - the service's log has to say what it was; its user learns that it came to nothing
                answer = {"broken": traceback.format_exc()}
            wire.send(self._connection, answer)

    def open(self, fd: int, *, name: str) -> Facts:
        """Find out what an open file is."""
        allow_cpu(self._orders.open_cpu_s)
        path = self._path_of([fd])
        most = self._orders.max_pixels
        with path.open("rb") as file:
            if pictures.png_pixels(file.read(64)) > most:
                raise pictures.too_many_pixels(most)
        with opened(path) as container:
            form, said_s = container.format.name, container.duration
            sizes = [stream.width * stream.height for stream in container.streams.video]
        if max(sizes, default=0) > most:
            raise pictures.too_many_pixels(most)
        if form in pictures.FORMATS:
            pictures.decode(path.read_bytes(), max_pixels=most)
            facts = Facts(kind="image", duration_s=0.0)
        else:
            facts = self._facts(path)
        self._files.append((path, name, facts, None if said_s is None else said_s / 1e6))
        return facts

    def run(self, *, number: int) -> MediaResult:
        """Analyse the file that was opened as `number`, from 0; says now and then how far it is."""
        path, name, facts, said_s = self._files[number]
        if not self._yielding and facts.kind != "image":
            os.nice(NICENESS)  # devices that wait for a verdict go first, and so do people who wait for a picture
            self._yielding = True
        allow_cpu(self._orders.least_cpu_s + facts.duration_s * self._orders.cpu_per_second)
        if facts.kind == "image":
            return self._picture(path, name)
        film = Film(self._models, self._detector)
        film.run(MediaFile(path), facts.duration_s, self._reporter())
        notes = _notes(film, facts)
        missing_s = 0.0 if said_s is None else said_s - film.end_s
        if missing_s > MISSING_S:
            notes.insert(0, f"Damaged: it says that it lasts {said_s:.1f} s, but breaks off after {film.end_s:.1f} s.")
        return MediaResult(
            kind=facts.kind,
            name=name,
            duration_s=round(film.end_s, 3),
            width=None if film.size is None else film.size[0],
            height=None if film.size is None else film.size[1],
            frames=film.frames,
            windows=film.windows,
            notes=notes,
        )

    def see(self, *, picture: bytes, time_s: float) -> LiveFrame:
        """Look at one picture of a webcam."""
        allow_cpu(self._orders.open_cpu_s)
        image, _, _ = pictures.decode(picture, max_pixels=self._orders.live_pixels, max_width=640)
        frame, observations = self._eye.see(image, time_s)
        largest = max(range(len(observations)), key=lambda place: observations[place].area, default=None)
        filtered = self._running.update(None if largest is None else observations[largest].probs)
        if largest is None or filtered is None:
            return LiveFrame(frame=frame, running=None, unsure=False)
        said = distribution(EMOTIONS, filtered.tolist())
        return LiveFrame(frame=frame, running=said, unsure=frame.faces[largest].unsure)

    def _facts(self, path: Path) -> Facts:
        media = MediaFile(path)
        most = self._orders.max_duration_s
        if media.duration_s > most:
            raise AnalysisError(
                f"it lasts {media.duration_s / 60:.1f} minutes, and {most / 60:.0f} are the most", fix="Cut it."
            )
        return Facts(kind="video" if media.has_frames else "audio", duration_s=round(media.duration_s, 3))

    def _picture(self, path: Path, name: str) -> MediaResult:
        image, width, height = pictures.decode(path.read_bytes(), max_pixels=self._orders.max_pixels)
        frame, _ = Eye(self._models, self._detector, glance=False).see(image, 0.0)
        return MediaResult(
            kind="image",
            name=name,
            duration_s=0.0,
            width=width,
            height=height,
            frames=[frame],
            windows=[],
            notes=[] if frame.faces else ["No face was found."],
        )

    def _reporter(self) -> Callable[[float], None]:
        last_s = -PROGRESS_EVERY_S

        def report(share: float) -> None:
            nonlocal last_s
            if share > 0 and time.monotonic() - last_s >= PROGRESS_EVERY_S:
                last_s = time.monotonic()
                wire.send(self._connection, {"progress": share})

        return report

    @staticmethod
    def _path_of(fds: list[int]) -> Path:
        return Path(f"/proc/self/fd/{fds[0] if fds else -1}")


def _notes(film: Film, facts: Facts) -> list[str]:
    notes = []
    if facts.kind == "video" and not any(frame.faces for frame in film.frames):
        notes.append("No face was found.")
    heard = [window.voiced_share for window in film.windows if window.voiced_share is not None]
    if not heard:
        notes.append("It has no sound.")
    elif not any(window.speech for window in film.windows):
        notes.append("No voice was heard.")
    return notes


def allow_cpu(seconds: float) -> None:
    """Let this process use so many more processor seconds; then the kernel ends it."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))


def confine(memory_bytes: int) -> None:
    """Give up what decoding does not need. `memory_bytes` come on top of what is mapped now."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: mapped + memory_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 64,
    }
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))
    ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def main(number: str, orders_json: str) -> None:
    """Run as a child of the service."""
    logging.disable()  # what is damaged stands in the result
    av.logging.set_level(None)
    cv2.setNumThreads(1)
    orders = msgspec.json.decode(orders_json, type=Orders)
    with socket.socket(fileno=int(number)) as connection:
        child = Child(connection, orders)
        confine(orders.memory_bytes)
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            child.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
