from __future__ import annotations

import subprocess
import sys

from edge.clock import FakeClock
from edge.header import Headers
from edge.health import Timings, bytes_written, health_message, peak_memory_mb, temperature_c
from edge.protocol import Health, SourceHealth, decode, encode


def test_percentiles_are_of_the_last_durations() -> None:
    timings = Timings()
    for milliseconds in range(1, 101):
        timings.add("reading", float(milliseconds))
    (only,) = timings.percentiles().values()
    assert 49 <= only.p50_ms <= 52
    assert 94 <= only.p95_ms <= 96


def test_memory_is_this_programs_own_and_not_its_parents() -> None:
    """A small program started by a large one is small."""
    ballast = bytearray(300 << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    script = "from edge.health import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert peak_memory_mb() > 300
    assert 5 < float(done.stdout) < 100


def test_what_the_kernel_does_not_tell_is_none_or_zero(monkeypatch, tmp_path) -> None:
    for name in ("THERMAL", "UNDER_VOLTAGE", "WRITTEN", "STATUS"):
        monkeypatch.setattr(f"edge.health.{name}", tmp_path / "nothing")
    assert (temperature_c(), bytes_written(), peak_memory_mb()) == (None, 0, 0.0)


def test_a_health_message_survives_the_wire() -> None:
    clock = FakeClock()
    message = health_message(
        Headers(session=1, mode="demo", clock=clock),
        clock=clock,
        started_at=clock.monotonic() - 5.0,
        sources={"camera": SourceHealth(state="ok", rate=5.0, dropped=0)},
        timings=Timings(),
        outbox=(1, 2, 3),
    )
    assert decode(Health, encode(message)) == message
    assert message.uptime_s == 5.0
    assert (message.outbox_rows, message.outbox_bytes, message.outbox_dropped) == (1, 2, 3)
