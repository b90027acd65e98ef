"""A day without a broker, and what happens when it comes back: simulated, a message every three seconds."""

from __future__ import annotations

import pytest
from link_simulated import PUBACK_TIMEOUT_S, Device

DAY_S = 86_400.0
WINDOW_S = 3.0
EVENT_EVERY = 600
ROUND_TRIP_S = 0.1


def outage(device: Device, seconds: float) -> None:
    """Let a device make a reading every 3 s and an event every half hour, with nobody to take them."""
    for number in range(int(seconds / WINDOW_S)):
        device.make("event" if number % EVENT_EVERY == 0 else "reading")
        device.advance(WINDOW_S)
        assert len(device.in_memory()) <= PUBACK_TIMEOUT_S / WINDOW_S + 1, "memory must not grow while the disk takes"


def recover(device: Device) -> tuple[float, list[float]]:
    """Connect; return the seconds until the outbox is empty, and how long each new reading took meanwhile."""
    device.connect()
    began, next_at, waits = device.clock.monotonic(), device.clock.monotonic(), []
    fresh: dict[str, float] = {}
    while device.outbox.rows or device.in_memory():
        now = device.clock.monotonic()
        if now >= next_at:
            fresh[device.make("reading").id] = now
            next_at += WINDOW_S
        device.deliver()
        device.advance(ROUND_TRIP_S)
        waits += [device.clock.monotonic() - fresh.pop(each) for each in device.answer() if each in fresh]
    return device.clock.monotonic() - began, waits


@pytest.mark.slow
@pytest.mark.timeout(1200)  # about 25 s of processor time, which a crowded machine spreads far
def test_after_a_day_without_a_broker_all_is_replayed_in_order_once_while_new_readings_flow() -> None:
    device = Device(None)
    outage(device, DAY_S)
    made = list(device.made.values())
    assert device.outbox.rows + len(device.in_memory()) == len(made) == DAY_S / WINDOW_S
    assert device.outbox.bytes < 50_000_000, "the default bound holds a day with ease"
    took_s, waits = recover(device)
    assert len(device.received) == len({row.id for row in device.received}) == len(device.made)
    old = [row for row in device.received if row.monotonic <= made[-1].monotonic]
    assert old == sorted(old, key=lambda row: row.order)
    assert len(made) / 20.0 <= took_s <= 1.2 * len(made) / 20.0, "at 20 messages a second and no more"
    assert max(waits) <= 2 * ROUND_TRIP_S, "what is new does not wait behind what is old"
    assert device.outbox.dropped == 0


@pytest.mark.slow
def test_an_outage_beyond_the_bound_costs_the_oldest_readings_and_no_event() -> None:
    device = Device(None, max_bytes=500_000)
    for _ in range(8):
        outage(device, DAY_S / 32)
        assert device.outbox.bytes <= 500_000
    recover(device)
    made, received = list(device.made.values()), {row.id for row in device.received}
    readings = [row.id for row in made if row.kind == "reading"]
    missing = [row_id for row_id in readings if row_id not in received]
    assert missing == readings[: len(missing)], "the oldest of them"
    assert device.outbox.dropped_by_kind == {"reading": len(missing)}
    assert len(missing) > 5000
    assert {row.id for row in made if row.precious} <= received


def test_a_day_of_short_outages_loses_nothing() -> None:
    device = Device(None)
    for _ in range(96):
        device.connect()
        for _ in range(10):
            device.make("reading")
            device.deliver()
            device.advance(ROUND_TRIP_S)
            device.answer()
            device.advance(WINDOW_S)
        device.make("reading")
        device.deliver(1)  # arrives, and its acknowledgement does not
        device.disconnect()
        outage(device, 60.0)
    recover(device)
    assert {row.id for row in device.received} == set(device.made)
    assert len(device.received) == len(device.made), "the wire broke before the broker had answered"
