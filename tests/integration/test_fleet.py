"""scripts/fleet: a small fleet at a real Mosquitto and the real service, and what its figures mean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from brokers import eventually
from cloud_service import CloudProcess, mosquitto
from simulated_fleet.load import bottleneck, figures
from simulated_fleet.tally import Tally

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "simulated_fleet")
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}


def fleet(*arguments: str, limit_s: float = 200.0) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=limit_s)


@pytest.mark.slow
def test_a_small_fleet_arrives_whole() -> None:
    done = fleet("--devices", "30", "--every", "2", "--seconds", "6", "--sites", "3", "--json")
    (row,) = json.loads(done.stdout)["steps"]
    assert 30 <= row["readings"] <= 120
    assert row["readings"] == row["acknowledged"] == row["stored"] == row["seen"]
    assert (row["failed"], row["hung_up"]) == ({}, 0)
    assert 0.0 < row["lag_p50_ms"] <= row["lag_p95_ms"] <= row["lag_max_ms"]
    assert row["cpu"].keys() == {"service", "broker", "fleet"}
    assert row["service_mb"] > 10.0
    assert done.returncode == (0 if row["sustained"] else 1)


@pytest.mark.slow
def test_a_fleet_visits_a_cloud_that_runs_already_and_leaves_in_good_order(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as port, CloudProcess(tmp_path / "cloud", "--broker", url(port)) as cloud:
        command = [*COMMAND, "--broker", url(port), "--devices", "4", "--every", "0.5", "--sites", "2"]
        with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as visitors:
            try:
                eventually(lambda: len(states(cloud)) == 4 and cloud.readings(), within_s=60.0)
                assert set(states(cloud)) == {"online"}
                visitors.send_signal(signal.SIGINT)
                assert visitors.wait(30.0) == 0
            finally:
                visitors.kill()
        eventually(lambda: set(states(cloud)) == {"stopped"}, within_s=60.0)


def test_a_step_is_sustained_only_if_nothing_is_missing_or_late() -> None:
    def step(**changes: Any) -> dict[str, Any]:
        tally = Tally(sent={str(number): 0.0 for number in range(100)}, acknowledged=100, lags_ms=[50.0] * 100)
        tally.lags_ms = changes.pop("lags_ms", tally.lags_ms)
        cpu = {"service": 0.5, "broker": 0.1, "fleet": 0.2}
        known = {"devices": 30, "every_s": 3.0, "took_s": 10.0, "stored": 100, "memory_mb": 200.0, "hung_up": 0}
        return figures(tally, cpu=cpu, **(known | changes))

    assert step()["sustained"]
    assert (step()["rate"], step()["lag_p95_ms"]) == (10.0, 50.0)
    assert not step(stored=99)["sustained"]
    assert not step(hung_up=1)["sustained"]
    assert not step(lags_ms=[50.0] * 90 + [3001.0] * 10)["sustained"]
    assert not step(lags_ms=[])["sustained"]
    assert not step(devices=40)["sustained"]  # whose fleet itself did not come to send as often as it should


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ({"service": 0.97, "broker": 0.1, "fleet": 0.3}, "the service, whose process takes 0.97 of one core"),
        ({"service": 0.6, "broker": 0.1, "fleet": 0.9}, "the simulated fleet itself"),
        ({"service": 0.8, "broker": 0.2, "fleet": 0.8}, "this machine: all three together take 1.80 of 2 cores"),
        ({"service": 0.2, "broker": 0.1, "fleet": 0.1}, "no processor"),
    ],
)
def test_what_gives_way_is_who_has_no_processor_left(cpu: dict[str, float], expected: str) -> None:
    assert bottleneck({"cpu": cpu}, cores=2).startswith(expected)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--devices", "0"), "must be from 1 to"),
        (("--offload", "1.5"), "must be from 0 to 1"),
        (("--every", "nan"), "must be more than 0"),
        (("--broker", "http://x"), "is no MQTT address"),
        (("--broker", "mqtt://127.0.0.1:1"), "cannot be reached"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(arguments: Sequence[str], said: str) -> None:
    done = fleet(*arguments, limit_s=60.0)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def url(port: int) -> str:
    return f"mqtt://127.0.0.1:{port}"


def states(cloud: CloudProcess) -> list[str]:
    return [device["availability"] for device in cloud.get("/api/devices")["devices"]]
