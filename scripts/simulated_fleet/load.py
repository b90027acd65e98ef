"""How many devices a broker, a service and its store keep up with: step after step, on this machine."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from training.bench_service import Service, running

from cloud.link import parse_address, probe
from edge.errors import LinkError
from edge.protocol import Evidence
from simulated_fleet.fleet import Fleet
from simulated_fleet.tally import Tally

GROWTH = 1.5
"""How many times the devices of a step the next step has."""
MOST_DEVICES = 15_000
SETTLE_S = 3.0
"""Between the last device's connection and the first reading that counts."""
DRAIN_S = 30.0
"""For what is on its way when a step ends."""
BUSY = 0.85
"""Of a core: a process that takes more is what the others wait for."""

Row = dict[str, Any]


def measure(
    steps: Sequence[int], *, every_s: float, step_s: float, sites: int, evidence: Sequence[Evidence], share: float
) -> list[Row]:
    """Return `figures` step by step, up to the first that is not sustained; `steps` are numbers of devices.

    Starts a Mosquitto and a `mien-cloud serve`, with a store of their own, and stops both. Raises TrainingError or
    MienError where one of them cannot be started or takes no more devices.
    """
    _raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="mien-fleet-") as folder, running(Path(folder)) as service:
        return asyncio.run(_measure(service, Path(folder), steps, every_s, step_s, sites, evidence, share))


async def _measure(
    service: Service,
    folder: Path,
    steps: Sequence[int],
    every_s: float,
    step_s: float,
    sites: int,
    evidence: Sequence[Evidence],
    share: float,
) -> list[Row]:
    address = await probe(parse_address(f"mqtt://127.0.0.1:{service.broker_port}"))
    rows: list[Row] = []
    async with Fleet(address, sites=sites, every_s=every_s, evidence=evidence, share=share) as fleet:
        watching = asyncio.create_task(fleet.watch(service.web))
        try:
            for devices in steps:
                await fleet.grow(devices)
                rows.append(await _step(service, fleet, folder, devices, every_s, step_s))
                if not rows[-1]["sustained"]:
                    break
        except LinkError as error:
            if not rows:
                raise
            rows[-1]["beyond"] = str(error)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return rows


async def _step(service: Service, fleet: Fleet, folder: Path, devices: int, every_s: float, step_s: float) -> Row:
    await _pass(SETTLE_S, "settling")
    tally, cpu_before, own_before = fleet.begin(), service.cpu_s(), time.process_time()
    began, lost_before = time.monotonic(), fleet.lost.total()
    await _pass(step_s, f"{devices} devices")
    took_s = time.monotonic() - began
    cpu = {name: (spent - cpu_before[name]) / took_s for name, spent in service.cpu_s().items()}
    cpu["fleet"] = (time.process_time() - own_before) / took_s
    fleet.end()
    stored = await _drain(folder, tally)
    return figures(
        tally,
        devices=devices,
        every_s=every_s,
        took_s=took_s,
        stored=stored,
        cpu=cpu,
        memory_mb=_memory_mb(service.pids["service"]),
        hung_up=fleet.lost.total() - lost_before,
    )


async def _drain(folder: Path, tally: Tally) -> int:
    """Wait until all that was sent is stored, or for DRAIN_S; return how much of it is."""
    until = time.monotonic() + DRAIN_S
    while True:
        stored = await asyncio.to_thread(count_stored, folder / "data" / "mien.sqlite", tally.sent)
        if stored >= len(tally.sent) or time.monotonic() > until:
            return stored
        await asyncio.sleep(0.5)


def count_stored(store: Path, ids: dict[str, float]) -> int:
    """Return how many of these readings the store holds, without touching it."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30.0)) as connection:
        oldest = min(ids, default="")
        found = connection.execute("SELECT id FROM readings WHERE id >= ?", (oldest,))
        return sum(each in ids for (each,) in found)


def figures(
    tally: Tally,
    *,
    devices: int,
    every_s: float,
    took_s: float,
    stored: int,
    cpu: dict[str, float],
    memory_mb: float,
    hung_up: int,
) -> Row:
    """Return the row of one step.

    It is sustained if every reading is in the store, no connection broke, nineteen of twenty readings were on the page
    before their device's next one was due, and the devices themselves came to send as often as they should.
    """
    sent, p95_ms = len(tally.sent), _percentile(tally.lags_ms, 95)
    meant = devices / every_s
    kept_up = p95_ms is not None and p95_ms <= 1000.0 * every_s and sent / took_s > 0.95 * meant
    return {
        "devices": devices,
        "every_s": every_s,
        "seconds": took_s,
        "readings": sent,
        "rate": sent / took_s,
        "acknowledged": tally.acknowledged,
        "stored": stored,
        "seen": len(tally.lags_ms),
        "lag_p50_ms": _percentile(tally.lags_ms, 50),
        "lag_p95_ms": p95_ms,
        "lag_max_ms": max(tally.lags_ms, default=None),
        "failed": dict(tally.failed),
        "hung_up": hung_up,
        "asked": tally.asked,
        "verdict_p95_ms": _percentile(tally.verdicts_ms, 95),
        "answered": len(tally.verdicts_ms),
        "refused": dict(tally.refused),
        "cpu": cpu,
        "service_mb": memory_mb,
        "sustained": kept_up and stored == sent and not hung_up,
        "beyond": "",
    }


def bottleneck(row: Row, cores: int) -> str:
    """Say what a step that was not sustained ran into."""
    name, most = max(row["cpu"].items(), key=lambda each: each[1])
    names = {"service": "the service", "broker": "the broker", "fleet": "the simulated fleet itself"}
    if most >= BUSY:
        return f"{names[name]}, whose process takes {most:.2f} of one core"
    total = sum(row["cpu"].values())
    if total >= BUSY * cores:
        return f"this machine: all three together take {total:.2f} of {cores} cores"
    return f"no processor: the busiest, {names[name]}, takes {most:.2f} of a core, so something waits"


def _percentile(values: Sequence[float], share: float) -> float | None:
    return float(np.percentile(values, share)) if values else None


async def _pass(seconds: float, what: str) -> None:
    """Let time pass, visibly."""
    with tqdm(total=round(seconds), desc=what, unit="s", leave=False) as bar:
        began = time.monotonic()
        while (left := seconds - (time.monotonic() - began)) > 0:
            await asyncio.sleep(min(1.0, left))
            bar.update(min(round(time.monotonic() - began), round(seconds)) - bar.n)


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def _raise_file_limit() -> None:
    """A connection is a file, here and in the broker, which inherits the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def machine() -> str:
    """Return what the figures were measured on."""
    return f"{os.cpu_count()} cores, shared by broker, service, store and fleet; load average {os.getloadavg()[0]:.1f}"
