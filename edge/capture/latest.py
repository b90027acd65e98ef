"""A reader thread that keeps only the newest frame, so that inference never falls behind the camera."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

from edge.capture.base import Frame
from edge.errors import CaptureError

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.0
"""A device that hangs longer than this is left to its thread, which releases it when it returns."""


class Grabber(Protocol):
    """A device as the reader thread sees it; used by that thread alone once it runs."""

    def grab(self) -> float:
        """Wait for the next picture and return when it was taken (monotonic, s). Raises CaptureError if it is lost."""
        ...

    def retrieve(self) -> NDArray[np.uint8]:
        """Return the picture grabbed last, (H, W, 3) BGR or (H, W) gray. Raises CaptureError if it is damaged."""
        ...

    def interrupt(self) -> None:
        """Make a `grab` that waits in the reader thread fail soon, if the device can do that."""
        ...

    def release(self) -> None:
        """Give the device back."""
        ...


class LatestFrames:
    """A FrameSource over a device: at most `fps` frames a second, only the newest one kept, overwritten ones counted.

    Pictures that the camera gives beyond `fps`, or within its first `settle_s` seconds, are passed over without being
    decoded; they do not count as dropped.
    """

    trouble = ""
    """See `edge.capture.base.Source`: what a camera shows is judged face by face."""

    def __init__(self, grabber: Grabber, *, fps: float, name: str, settle_s: float = 0.0) -> None:
        self._grabber = grabber
        self._interval_s = 1.0 / fps
        self._settled_s = time.monotonic() + settle_s
        self._name = name
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._error: CaptureError | None = None
        self._dropped = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {name}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Frames that were overwritten before anybody read them."""
        return self._dropped

    def read(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not read yet, or None if none came within `timeout_s` seconds.

        Raises CaptureError once the camera is lost or closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._error is not None, timeout_s)
            frame, self._newest = self._newest, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def close(self) -> None:
        """Stop reading and release the camera; waits at most `CLOSE_TIMEOUT_S` for it."""
        self._stop.set()
        self._grabber.interrupt()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            log.warning("%s does not answer; it is released when it does", self._name)
        self._fail(CaptureError(f"{self._name} is closed"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._read_until_stopped()
        except CaptureError as error:
            self._fail(error)
        except Exception as error:  # a driver's or OpenCV's: whoever reads must hear of it, not wait for a hang
            log.exception("%s failed", self._name)
            self._fail(CaptureError(f"{self._name} failed: {error}"))
        finally:
            self._grabber.release()

    def _read_until_stopped(self) -> None:
        due_s = self._settled_s
        while not self._stop.is_set():
            time_s = self._grabber.grab()
            if time_s < due_s:
                continue
            # A half interval of slack: a camera at exactly `fps` must not lose every other frame to jitter.
            due_s = max(due_s + self._interval_s, time_s + self._interval_s / 2)
            self._put(Frame(time_s, self._grabber.retrieve()))

    def _put(self, frame: Frame) -> None:
        with self._changed:
            if self._newest is not None:
                self._dropped += 1
            self._newest = frame
            self._changed.notify_all()

    def _fail(self, error: CaptureError) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()
