"""The recording light: lit before a device is opened, dark only after the last one is closed.

It is driven by the process that opens the devices, so it cannot be lit or dark without them. Where a light is
configured and cannot be driven, nothing is opened.
"""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Any, Self

from edge.capture.base import FrameSource, SoundSource
from edge.errors import CaptureError, GpioError
from edge.gpio import Output
from edge.supervise import Opener

log = logging.getLogger(__name__)


class Indicator:
    """Counts the open devices and drives the light. Safe to share."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._open = 0
        self._lock = threading.Lock()

    def opening(self) -> None:
        """Light it, for one more device. Raises CaptureError if it cannot be driven: then the device stays closed."""
        with self._lock:
            try:
                self._output.on()
            except GpioError as error:
                raise CaptureError(f"the recording light fails, so nothing is opened: {error}") from error
            self._open += 1

    def closed(self) -> None:
        """Put it out, if this was the last device."""
        with self._lock:
            self._open -= 1
            if self._open == 0:
                try:
                    self._output.off()
                except GpioError as error:
                    log.warning("the recording light stays lit: %s", error)


def lit(opener: Opener, indicator: Indicator) -> Opener:
    """Return an opener whose source is open only while the light is lit."""

    def open_lit() -> FrameSource | SoundSource:
        indicator.opening()
        try:
            return _LitSource(opener(), indicator)
        except BaseException:
            indicator.closed()
            raise

    return open_lit


class _LitSource:
    """A source that puts out its light once it is closed."""

    def __init__(self, source: FrameSource | SoundSource, indicator: Indicator) -> None:
        self._source, self._indicator = source, indicator
        self._closed = False

    @property
    def dropped(self) -> int:
        return self._source.dropped

    @property
    def trouble(self) -> str:
        return self._source.trouble

    def read(self, timeout_s: float) -> Any:
        return self._source.read(timeout_s)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._source.close()
        finally:
            self._indicator.closed()

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
