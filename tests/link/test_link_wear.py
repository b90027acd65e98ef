"""What the outbox writes to the card in a day, counted by the kernel; the time is simulated, the disk is real.

`pytest tests/link/test_link_wear.py -s` prints the figures, from an hour scaled to a day; MIEN_TEST_HOURS=24 simulates
whole days. pytest's temporary folder must lie on a disk.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from link_simulated import Device

from edge.health import bytes_written

HOURS = float(os.environ.get("MIEN_TEST_HOURS", "1"))
WINDOW_S = 3.0
ROUND_TRIP_S = 0.1


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    before = bytes_written()
    with (tmp_path / "probe").open("wb") as file:
        file.write(bytes(8192))
        os.fsync(file.fileno())
    if bytes_written() - before < 8192:
        pytest.skip(f"the kernel counts no bytes written to {tmp_path}, as on tmpfs")
    return tmp_path / "outbox.sqlite"


def mb_a_day(device: Device, *, away_s: float, every_s: float) -> float:
    """Make a reading every 3 s with a broker that is away for the last `away_s` of every `every_s` seconds."""
    before = bytes_written()
    for number in range(round(HOURS * 3600.0 / WINDOW_S)):
        there = number * WINDOW_S % every_s < every_s - away_s
        if there and device.wire is None:
            device.connect()
        if not there and device.wire is not None:
            device.disconnect()
        device.make("reading")
        for _ in range(round(WINDOW_S / ROUND_TRIP_S) if there else 0):
            device.deliver()
            device.advance(ROUND_TRIP_S)
            device.answer()
        device.advance(0.0 if there else WINDOW_S)
    return (bytes_written() - before) * 24.0 / HOURS / 1e6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broker", "away_s", "every_s", "least", "most"),
    [
        ("there", 0.0, 60.0, 0.0, 1.0),
        ("away for five minutes of every hour", 300.0, 3600.0, 5.0, 200.0),
        ("away", 60.0, 60.0, 100.0, 1000.0),
    ],
)
def test_wear_of_the_card(disk: Path, broker: str, away_s: float, every_s: float, least: float, most: float) -> None:
    device = Device(disk)
    written = mb_a_day(device, away_s=away_s, every_s=every_s)
    rows = len(device.made)
    print(
        f"\nbroker {broker}: {written:.1f} MB a day, from {rows} readings of {next(iter(device.made.values())).size} B"
    )
    assert least <= written <= most
    device.outbox.close()
