"""How the device does: rates, latencies, memory, temperature, throttling, bytes written."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

from edge.clock import Clock
from edge.header import Headers
from edge.protocol import Health, Percentiles, SourceHealth

HISTORY = 256
"""Durations remembered per stage."""

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
UNDER_VOLTAGE = Path("/sys/devices/platform/soc/soc:firmware/raspberrypi-hwmon/hwmon")
WRITTEN = Path("/proc/self/io")
STATUS = Path("/proc/self/status")


class Timings:
    """Durations per stage, their median and 95th percentile. Safe to share."""

    def __init__(self) -> None:
        self._by_stage: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, milliseconds: float) -> None:
        """Note one duration."""
        with self._lock:
            self._by_stage.setdefault(stage, deque(maxlen=HISTORY)).append(milliseconds)

    def percentiles(self) -> dict[str, Percentiles]:
        """Return p50 and p95 of the last durations of each stage."""
        with self._lock:
            return {stage: _percentiles(sorted(values)) for stage, values in self._by_stage.items()}


def _percentiles(ordered: list[float]) -> Percentiles:
    last = len(ordered) - 1
    return Percentiles(p50_ms=ordered[round(0.5 * last)], p95_ms=ordered[round(0.95 * last)])


def in_words(name: str, health: SourceHealth) -> str:
    """Return how the source of that name does, e.g. "camera down (nothing for 12 s)"."""
    if health.state == "ok":
        return f"{name} ok"
    return f"{name} {health.state}" + (f" ({health.error})" if health.error else "")


def temperature_c() -> float | None:
    """Return the processor's temperature, None where the kernel does not tell."""
    try:
        return int(THERMAL.read_text()) / 1000.0
    except (OSError, ValueError):
        return None


def throttled() -> bool | None:
    """Return whether the board lacks voltage now (hwmon's alarm on a Raspberry Pi), None where it does not tell."""
    try:
        alarms = [path.read_text().strip() for path in UNDER_VOLTAGE.glob("hwmon*/in0_lcrit_alarm")]
    except OSError:
        return None
    return any(alarm == "1" for alarm in alarms) if alarms else None


def peak_memory_mb() -> float:
    """Return the peak resident memory of this program, 0.0 where the kernel does not tell.

    Not from getrusage: its ru_maxrss survives exec, so that a small program started by a large one looks large.
    """
    try:
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024.0
    except (OSError, ValueError, KeyError):
        return 0.0


def bytes_written() -> int:
    """Return the bytes this process caused to be written to storage; 0 where the kernel does not tell."""
    try:
        lines = dict(line.split(": ") for line in WRITTEN.read_text().splitlines())
        return max(0, int(lines["write_bytes"]) - int(lines["cancelled_write_bytes"]))
    except (OSError, ValueError, KeyError):
        return 0


def health_message(
    headers: Headers,
    *,
    clock: Clock,
    started_at: float,
    sources: dict[str, SourceHealth],
    timings: Timings,
    outbox: tuple[int, int, int],
) -> Health:
    """Return the health message of now; `outbox` is (rows, bytes, dropped), `started_at` monotonic seconds."""
    rows, size, dropped = outbox
    return Health(
        **headers.next(),
        uptime_s=clock.monotonic() - started_at,
        sources=sources,
        timings=timings.percentiles(),
        outbox_rows=rows,
        outbox_bytes=size,
        outbox_dropped=dropped,
        bytes_written=bytes_written(),
        memory_mb=peak_memory_mb(),
        temperature_c=temperature_c(),
        throttled=throttled(),
    )
