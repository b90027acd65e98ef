"""Checks of the machine: clock, disk, memory, temperature, power."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from edge.clock import SystemClock
from edge.doctor.ground import Ground
from edge.doctor.report import Finding

SYS = Path("/sys/class")
MEMINFO = Path("/proc/meminfo")

BUILT = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock that shows less has not been set since the board was powered."""

WRITES = 20
BLOCK = os.urandom(4096)
SLOW_S, TOO_SLOW_S = 0.2, 2.0
"""95th percentile of a synchronised write. The outbox writes in batches: 0.2 s is a tired card, 2 s a dying one."""

FREE_MB = 100.0
"""Beyond what the outbox may grow to."""
AVAILABLE_MB, LOW_MB = 250.0, 100.0
"""Memory to be had before the daemon starts: it takes up to about 200 MB, of which some is files."""
WARM_C, HOT_C = 75.0, 85.0
"""From 80 C on a Pi slows its processor down, and at 85 C much more."""

THROTTLED_BITS = {
    0: "voltage too low now",
    1: "processor slowed down now",
    2: "throttled now",
    3: "soft temperature limit now",
    16: "voltage was too low since boot",
    17: "processor was slowed down since boot",
    18: "was throttled since boot",
    19: "soft temperature limit was reached since boot",
}
"""Of `vcgencmd get_throttled`, as the Raspberry Pi documentation has them."""

POWER_FIX = "Use the official power supply and a short thick cable; take hungry USB devices to a powered hub."


def check_clock(ground: Ground) -> Finding:
    """Say whether the wall clock is right."""
    del ground
    clock = SystemClock()
    now = datetime.fromtimestamp(clock.wall(), UTC)
    detail = {"synced": clock.synced(), "utc": now.isoformat(timespec="seconds")}
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    fix = "timedatectl set-ntp true, and let UDP port 123 through; on a Pi 5 a battery keeps the clock."
    if now < BUILT:
        return Finding("fail", f"{text}: the clock was never set; TLS will refuse every broker", fix, detail)
    if not clock.synced():
        what = f"{text}, not synchronised: readings say so, and no consent can be held valid"
        return Finding("warn", what, fix, detail)
    return Finding("ok", f"{text}, synchronised", detail=detail)


def check_disk(ground: Ground) -> Finding:
    """Say whether there is room for the outbox, and how long a write takes."""
    settings = ground.config.outbox
    if not settings.folder:
        return Finding("skip", "no outbox configured (outbox.folder)")
    folder = Path(settings.folder)
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free_mb = shutil.disk_usage(there).free / 1e6
    detail: dict[str, object] = {"folder": str(folder), "free_mb": round(free_mb)}
    text = f"{folder}: {free_mb:,.0f} MB free"
    if free_mb < settings.max_mb:
        fix = f"The outbox may take {settings.max_mb:g} MB: make room, or lower outbox.max_mb."
        return Finding("fail", text, fix, detail)
    if there != folder:
        return Finding("warn", f"{folder} does not exist", "The service makes it; else mkdir it for its user.", detail)
    try:
        times = sorted(_write_times(folder))
    except PermissionError:
        return Finding("warn", f"{text}; this user may not write there", "Run this with sudo.", detail)
    except OSError as error:
        fix = "Is the file system read-only or damaged? dmesg and fsck tell; replace the card if they do."
        return Finding("fail", f"{text}; cannot be written: {error.strerror}", fix, detail)
    p50, p95 = times[len(times) // 2], times[round(0.95 * (len(times) - 1))]
    detail |= {"fsync_p50_ms": round(1000 * p50, 2), "fsync_p95_ms": round(1000 * p95, 2)}
    text += f", write and fsync of 4 KiB p50 {1000 * p50:.1f} ms, p95 {1000 * p95:.1f} ms"
    if p95 > SLOW_S:
        fix = "The card is slow or worn out: use an A1 or A2 card, or an SSD."
        return Finding("fail" if p95 > TOO_SLOW_S else "warn", text, fix, detail)
    if free_mb < settings.max_mb + FREE_MB:
        return Finding("warn", text, f"Leave {FREE_MB:g} MB beside outbox.max_mb.", detail)
    return Finding("ok", text, detail=detail)


def _write_times(folder: Path) -> list[float]:
    """Return the seconds that each of WRITES synchronised writes took, to a file that has no name."""
    times = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(WRITES):
            began = time.perf_counter()
            file.write(BLOCK)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return times


def check_memory(ground: Ground) -> Finding:
    """Say whether there is memory for the daemon."""
    try:
        rows = (line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        kilobytes = {name: int(rest.split()[0]) for name, rest in rows}
        total, available = kilobytes["MemTotal"] / 1024, kilobytes["MemAvailable"] / 1024
    except (OSError, ValueError, KeyError):
        return Finding("skip", "the kernel does not tell")
    detail = {"total_mb": round(total), "available_mb": round(available)}
    text = f"{available:,.0f} of {total:,.0f} MB to be had"
    need = AVAILABLE_MB if ground.daemon.pid is None else LOW_MB
    if available < need:
        fix = "Stop other programs; on a board with 512 MB use the Lite system without a desktop."
        return Finding("fail" if available < LOW_MB else "warn", text, fix, detail)
    return Finding("ok", text, detail=detail)


def check_temperature(ground: Ground) -> Finding:
    """Say whether the processor is too hot."""
    del ground
    found = [
        value / 1000.0
        for pattern in ("thermal/thermal_zone*/temp", "hwmon/hwmon*/temp*_input")
        for value in map(_number, SYS.glob(pattern))
        if value is not None and value > 0
    ]
    if not found:
        return Finding("skip", "no sensor that the kernel shows")
    hottest = max(found)
    detail = {"celsius": hottest}
    if hottest >= WARM_C:
        fix = "It slows down from 80 C on: a heat sink, a fan, a place out of the sun, or a lower camera.fps."
        return Finding("fail" if hottest >= HOT_C else "warn", f"{hottest:.0f} C", fix, detail)
    return Finding("ok", f"{hottest:.0f} C", detail=detail)


def check_power(ground: Ground) -> Finding:
    """Say whether the board lacks voltage, now or since boot."""
    del ground
    alarms = [
        _number(folder / "in0_lcrit_alarm")
        for folder in SYS.glob("hwmon/hwmon*")
        if _text(folder / "name") == "rpi_volt"
    ]
    bits = _throttled_bits()
    known = [alarm for alarm in alarms if alarm is not None]
    if not known and bits is None:
        return Finding("skip", "not a Raspberry Pi, or its firmware does not tell")
    said = [words for bit, words in THROTTLED_BITS.items() if (bits or 0) >> bit & 1]
    detail = {"hwmon_alarm": any(known) if known else None, "throttled": None if bits is None else hex(bits)}
    if any(known) or (bits or 0) & 0b1111:
        return Finding("fail", "; ".join(said) or THROTTLED_BITS[0], POWER_FIX, detail)
    if said:
        return Finding("warn", "; ".join(said), POWER_FIX, detail)
    return Finding("ok", "voltage is right", detail=detail)


def _throttled_bits() -> int | None:
    try:
        done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5.0, check=True)
        return int(done.stdout.strip().partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
