"""Keeping one live source running: opened, read in a thread of its own, reopened with back-off when it fails.

The other source goes on meanwhile. Nothing queues up behind inference: what is not taken in time is dropped, counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from edge.capture.base import SAMPLE_RATE, Frame, FrameSource, Sound, SoundSource
from edge.clock import Clock
from edge.errors import CaptureError
from edge.progress import Heart
from edge.protocol import SourceHealth, SourceState

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 1.0
STALLED_AFTER_S = 5.0
"""A source that gives nothing for this long is degraded; after four times as long it is closed and reopened."""

BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 30.0
STEADY_S = 60.0
"""A source that has run for so long is reopened soon when it fails; one that fails again and again waits longer."""

OPEN_LIMIT_S = 60.0
"""A driver that opens or closes its device for longer hangs: only a restart of the process gets rid of it."""
READ_LIMIT_S = READ_TIMEOUT_S + 20.0
PAUSE_LIMIT_S = 10.0
"""How late a pause may end on a busy machine."""

Opener = Callable[[], FrameSource | SoundSource]


class SourceWorker:
    """Runs one source. `keep` is how many unread items are kept: 1 frame, a few seconds of sound.

    `allowed` is asked before opening and while reading: where the policy says no, the device is closed. `on_change` is
    told the new state and why, from this worker's thread.
    """

    def __init__(
        self,
        name: str,
        opener: Opener,
        *,
        keep: int,
        allowed: Callable[[], bool],
        on_change: Callable[[str, SourceState, str], None],
        clock: Clock,
        ready: threading.Event,
        heart: Heart | None = None,
    ) -> None:
        self.name = name
        self._heart = heart or Heart(name, clock)
        self._opener, self._allowed, self._on_change = opener, allowed, on_change
        self._clock, self._ready = clock, ready
        self._items: deque[Frame | Sound] = deque()
        self._keep = keep
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._state: SourceState = "down"
        self._error = "not opened yet"
        self._dropped_before = 0
        self._dropped_here = 0
        self._backoff_s = BACKOFF_FIRST_S
        self._source: FrameSource | SoundSource | None = None
        self._taken: deque[tuple[float, float]] = deque(maxlen=64)
        self._thread = threading.Thread(target=self._run, name=f"source-{name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def end(self) -> None:
        """Ask the worker to close its source; returns at once."""
        self._stop.set()

    def stop(self, timeout_s: float) -> None:
        """Close the source; waits at most `timeout_s` for a device that hangs."""
        self.end()
        self._thread.join(timeout_s)

    def take(self) -> list[Frame | Sound]:
        """Return and forget the items that have come since the last call, oldest first."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
        return items

    def health(self) -> SourceHealth:
        """Return how this source does."""
        with self._lock:
            times = list(self._taken)
            dropped = self._dropped_here
        source = self._source
        span = times[-1][0] - times[0][0] if len(times) > 1 else 0.0
        amount = sum(size for _, size in times[1:])
        return SourceHealth(
            state=self._state,
            rate=amount / span if span > 0.0 and self._state == "ok" else 0.0,
            dropped=dropped + self._dropped_before + (source.dropped if source is not None else 0),
            error=self._error,
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._allowed():
                self._change("down", "closed by the policy")
                self._pause(BACKOFF_FIRST_S)
                continue
            try:
                self._heart.beat(OPEN_LIMIT_S)
                with self._opener() as source:
                    self._source = source
                    self._read(source)
                    self._heart.beat(OPEN_LIMIT_S)
            except CaptureError as error:
                self._failed(str(error))
            except Exception as error:
                # A driver or a library that surprises us costs this source a pause, not its thread.
                log.exception("%s failed", self.name)
                self._failed(f"unexpected: {error!r}")
            finally:
                self._dropped_before += 0 if self._source is None else self._source.dropped
                self._source = None
        self._heart.rest()

    def _pause(self, seconds: float) -> None:
        self._heart.beat(seconds + PAUSE_LIMIT_S)
        self._stop.wait(seconds)

    def _failed(self, error: str) -> None:
        """Report the failure and wait, the longer the more often it happens."""
        self._change("down", error)
        self._pause(self._backoff_s)
        self._backoff_s = min(BACKOFF_MOST_S, self._backoff_s * 2.0)

    def _read(self, source: FrameSource | SoundSource) -> None:
        began = last = self._clock.monotonic()
        while not self._stop.is_set() and self._allowed():
            self._heart.beat(READ_LIMIT_S)
            item = source.read(READ_TIMEOUT_S)
            now = self._clock.monotonic()
            if item is not None:
                last = now
                if now - began >= STEADY_S:
                    self._backoff_s = BACKOFF_FIRST_S
                self._change("degraded" if source.trouble else "ok", source.trouble)
                self._put(item, now)
            elif now - last > 4.0 * STALLED_AFTER_S:
                error = CaptureError(f"{self.name} gave nothing for {now - last:.0f} s")
                self._change("down", str(error))  # said now, as closing what hangs may hang as well
                raise error
            elif now - last > STALLED_AFTER_S:
                self._change("degraded", f"nothing for {now - last:.0f} s")

    def _put(self, item: Frame | Sound, now: float) -> None:
        with self._lock:
            if len(self._items) >= self._keep:
                self._items.popleft()
                self._dropped_here += 1
            self._items.append(item)
            self._taken.append((now, 1.0 if isinstance(item, Frame) else len(item.pcm) / SAMPLE_RATE))
        self._ready.set()

    def _change(self, state: SourceState, error: str) -> None:
        changed = state != self._state or (state == "down" and error != self._error)
        self._state, self._error = state, error
        if changed:
            level = logging.INFO if state == "ok" else logging.WARNING
            fields = {"MIEN_SOURCE": self.name, "MIEN_CODE": f"{self.name}-{state}"}
            log.log(level, "%s is %s %s", self.name, state, error, extra=fields)
            try:
                self._on_change(self.name, state, error)
            except Exception:
                log.exception("nobody could be told that %s is %s", self.name, state)
