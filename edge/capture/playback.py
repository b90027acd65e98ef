"""A video file as a live camera: for shows, trials and machines without a camera."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.errors import CaptureError, SourceMissing, Undecodable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FPS_OTHERWISE = 25.0
"""Of files that do not say theirs."""


class FileCamera:
    """A Grabber that plays a file at its own pace, again and again.

    Raises SourceMissing if there is no such file, Undecodable if OpenCV cannot read a video from it.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceMissing(f"there is no file {path}", fix="Write file:///path/of/video.mp4")
        self._path = path
        self._interrupted = threading.Event()
        self._capture = self._open()
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._interval_s = 1.0 / (fps if 0.0 < fps <= 240.0 else FPS_OTHERWISE)
        self._due_s = time.monotonic()

    def grab(self) -> float:
        """Wait until the next frame is due and return its time. Raises CaptureError if the file has gone bad."""
        if self._interrupted.wait(max(0.0, self._due_s - time.monotonic())):
            raise CaptureError(f"{self._path} is closed")
        if not self._capture.grab():
            self._capture.release()
            self._capture = self._open()
            if not self._capture.grab():
                raise CaptureError(f"{self._path} gives no more frames")
        now_s = time.monotonic()
        self._due_s = max(self._due_s + self._interval_s, now_s)  # never faster, to catch up
        return now_s

    def retrieve(self) -> NDArray[np.uint8]:
        """Return the frame grabbed last, (H, W, 3) BGR."""
        good, image = self._capture.retrieve()
        if not good:
            raise CaptureError(f"{self._path} holds a frame that cannot be decoded")
        return np.asarray(image, dtype=np.uint8)

    def interrupt(self) -> None:
        """End a waiting `grab`."""
        self._interrupted.set()

    def release(self) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            capture.release()
            raise Undecodable(f"{self._path} cannot be read as a video")
        return capture
