"""`scripts/bench load` in short: the whole device in fast time, once as it is and once with a leak."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from training.load.memory import sample, slope_per_hour
from training.load.simulate import Outcome, Plan, simulate
from training.load.stage import Stage, camera
from training.scenes import find_clips, make_scene

from edge.clock import FakeClock
from edge.errors import CaptureError

LEAK = "import sys; from training.load.device import main; main(sys.argv[1], look_on=[].append)"
"""What looks on at the readings keeps them all."""

SHORT = Plan(hours=0.06, samples=24, trouble_every_h=0.03)


@pytest.mark.slow
@pytest.mark.timeout(900)  # twenty seconds of processor time, however busy the machine is
def test_memory_stays_flat_through_a_day_and_a_leak_is_found(data_dir, yunet):
    scene = make_scene(find_clips(data_dir), faces=4, fps=5.0)
    plan = replace(SHORT, detector=str(yunet))
    healthy = simulate(plan, scene)
    assert healthy.too_much() == [], healthy.growth()
    last = healthy.samples[-1]
    assert last["readings"] >= 0.9 * plan.hours * 1200
    assert (last["reloads"], last["outbox_dropped"]) == (2, 0)
    assert {"birth", "reading", "health", "event", "evidence", "verdict"} <= healthy.arrived.keys()
    leaking = simulate(plan, scene, program=("-c", LEAK))
    assert "python_blocks" in leaking.too_much(), leaking.growth()


def test_a_slope_is_that_of_most_samples():
    samples = [{"hour": hour, "rss_mb": 100.0 + 2.0 * hour + 50.0 * (hour == 3.0)} for hour in np.arange(0.0, 8.0, 0.5)]
    slope, low, high = slope_per_hour(samples, "rss_mb")
    assert slope == pytest.approx(2.0)
    assert low <= 2.0 <= high


def test_growth_counts_from_after_warming_up():
    def at(hour: float) -> dict[str, float]:
        return {"hour": hour, "rss_mb": 90.0 if hour < 1.0 else 100.0, "c_heap_mb": 5.0, "python_blocks": 1e5 * hour}

    outcome = Outcome(Plan(hours=4.0, samples=40, trouble_every_h=1.0), [at(0.1 * step) for step in range(41)])
    assert outcome.growth()["rss_mb"]["per_hour"] == 0.0
    assert outcome.too_much() == ["python_blocks"]


def test_memory_kept_is_memory_counted():
    before = sample()
    kept = [bytes(1000) for _ in range(10_000)]
    after = sample()
    if "c_heap_mb" in after:
        assert after["c_heap_mb"] - before["c_heap_mb"] == pytest.approx(10.0, abs=2.0)
    small = [object() for _ in kept]
    assert sample()["python_blocks"] - after["python_blocks"] >= 0.9 * len(small)  # what pytest lets go counts as well


def test_a_staged_camera_gives_what_is_due_and_nothing_else():
    stage = Stage(FakeClock(monotonic=0.0), step_s=0.2, players=1)
    with camera(stage, np.arange(3, dtype=np.uint8).reshape(3, 1, 1), 5.0) as source:
        assert source.read(0.0) is None
        stage.clock.advance(0.4)
        frames = [source.read(0.0), source.read(0.0)]
        assert [(frame.time_s, int(frame.image[0, 0])) for frame in frames] == [(0.2, 0), (0.4, 1)]
        assert source.read(0.0) is None
        source.unplug()
        with pytest.raises(CaptureError):
            source.read(0.0)
    assert stage.sources == []


def test_time_stands_still_until_a_source_that_was_away_is_back():
    stage = Stage(FakeClock(monotonic=0.0), step_s=1.0, players=1)
    turned = []

    def turn() -> None:
        for _ in range(8):
            stage.turn()
            turned.append(stage.clock.monotonic())

    thread = threading.Thread(target=turn)
    thread.start()
    while len(turned) < 2:
        thread.join(0.01)
    thread.join(0.5)
    assert turned == [1.0, 2.0], "for so long it may be away"
    with camera(stage, np.zeros((1, 1, 1), np.uint8), 1.0) as source:
        while thread.is_alive():
            source.read(0.01)
    assert turned[-1] == 8.0
