"""`scripts/bench verdict`: from a device's question to the answer, over a real Mosquitto and the real service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import numpy as np
from tqdm import tqdm

from edge.clock import new_id
from edge.protocol import DEFAULT_TTL_MS, Evidence, Verdict, decode, encode, topic
from training.bench_evidence import pack_evidence, pack_parts
from training.bench_service import Service, running
from training.errors import TrainingError

SITE = "bench"
RATES = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
"""In 20 s the lowest asks a hundred times: enough to tell a 95th percentile."""
EXAMPLES = 120
LOST_SHARE = 0.01
"""A rate is too high when more than this share of its requests has no answer in time."""
SEED = 4

HEAD = (
    *("asked/s", "n", "in time", "refused", "missed", "p50 ms", "p95 ms", "of it cloud, p50"),
    *("batch, mean", "largest", "CPU", "broker CPU"),
)


@dataclass
class Tally:
    """What became of the requests of one rate."""

    latencies_ms: list[float] = field(default_factory=list)
    """From the publish to the verdict, of those answered in time."""
    cloud_ms: list[float] = field(default_factory=list)
    """Of the same, what the service says that it took: from the message's arrival there."""
    verdict_bytes: list[int] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    asked: int = 0


class Device:
    """One simulated device: asks, and notes when the answer comes."""

    def __init__(self, client: aiomqtt.Client, name: str) -> None:
        self._client, self._name = client, name
        self._waiting: dict[str, tuple[float, Tally]] = {}

    async def ask(self, example: Evidence, tally: Tally) -> None:
        """Publish evidence about a reading of its own. What the broker does not take stays without an answer."""
        reading_id = new_id()
        payload = encode(msgspec.structs.replace(example, id=new_id(), reading_id=reading_id, ts=time.time()))
        tally.asked += 1
        self._waiting[reading_id] = time.monotonic(), tally
        with contextlib.suppress(aiomqtt.MqttError):
            await self._client.publish(topic(SITE, self._name, "evidence"), payload, qos=1)

    async def listen(self) -> None:
        """Take verdicts until cancelled. Raises MqttError when the connection is lost."""
        async for message in self._client.messages:
            self._hear(message.payload, time.monotonic())

    def _hear(self, payload: Any, heard: float) -> None:
        verdict = decode(Verdict, payload)
        asked, tally = self._waiting.pop(verdict.reading_id, (0.0, None))
        latency_ms = (heard - asked) * 1000.0
        if tally is None:
            return
        if verdict.status == "refused":
            tally.refused[verdict.reason] += 1
        elif latency_ms <= DEFAULT_TTL_MS:
            tally.latencies_ms.append(latency_ms)
            tally.cloud_ms.append(verdict.latency_ms)
            tally.verdict_bytes.append(len(payload))

    def waiting(self) -> int:
        """Return how many answers may still come in time."""
        return sum((time.monotonic() - asked) * 1000.0 <= DEFAULT_TTL_MS for asked, _ in self._waiting.values())


def measure(data: Path, devices: int, rates: Sequence[float], step_s: float) -> list[dict[str, Any]]:
    """Return `figures` rate by rate, up to the first at which answers fail to come in time.

    Raises TrainingError if the data, Mosquitto or the service is not to be had.
    """
    examples = pack_evidence(pack_parts(data, EXAMPLES))
    with tempfile.TemporaryDirectory(prefix="mien-bench-") as folder, running(Path(folder)) as service:
        try:
            return asyncio.run(_measure(service, examples, devices, rates, step_s))
        except aiomqtt.MqttError as error:
            raise TrainingError(f"the connection to the broker was lost: {error}") from error


async def _measure(
    service: Service, examples: list[Evidence], devices: int, rates: Sequence[float], step_s: float
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    async with _fleet(service.broker_port, devices) as (fleet, listening):
        await _step(service, fleet, examples, rates[0], 2.0)  # the first requests warm everything up
        for rate in tqdm(rates, desc="rates", unit="rate", leave=False):
            rows.append(await _step(service, fleet, examples, rate, step_s))
            for task in listening:
                if task.done():
                    task.result()  # a device that no longer hears measures nothing
            if rows[-1]["lost_share"] > LOST_SHARE:
                break
    return rows


@asynccontextmanager
async def _fleet(port: int, count: int) -> AsyncIterator[tuple[list[Device], list[asyncio.Task[None]]]]:
    """Yield connected devices, and the tasks in which they listen."""
    async with AsyncExitStack() as stack:
        fleet: list[Device] = []
        for name in (f"device-{number}" for number in range(count)):
            client = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", port, identifier=name))
            client.pending_calls_threshold = 1000  # beyond what it has in flight it warns of each publish
            await client.subscribe(topic(SITE, name, "verdict"), qos=1)
            fleet.append(Device(client, name))
        listening = [asyncio.create_task(device.listen()) for device in fleet]
        try:
            yield fleet, listening
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)


async def _step(
    service: Service, fleet: list[Device], examples: list[Evidence], rate: float, step_s: float
) -> dict[str, Any]:
    """Ask at `rate` per second for `step_s` seconds at random moments, whatever the answers do, and wait for them."""
    rng, tally, sending = random.Random(SEED), Tally(), set[asyncio.Task[None]]()
    before, cpu_before = service.counters(), service.cpu_s()
    started = due = time.monotonic()
    while due < started + step_s:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        sending.add(asyncio.create_task(rng.choice(fleet).ask(rng.choice(examples), tally)))
        due += rng.expovariate(rate)
    asked_s = time.monotonic() - started
    cpu = {name: spent - cpu_before[name] for name, spent in service.cpu_s().items()}
    await asyncio.gather(*sending)
    while any(device.waiting() for device in fleet):  # noqa: ASYNC110 - verdicts set no event
        await asyncio.sleep(0.01)
    grown = {name: count - before.get(name, 0) for name, count in service.counters().items()}
    return figures(rate, tally, asked_s, cpu, grown)


def figures(
    rate: float, tally: Tally, asked_s: float, cpu_s: Mapping[str, float], counters: Mapping[str, int]
) -> dict[str, Any]:
    """Return the row of one rate; `cpu_s` and `counters` are what the service took and counted meanwhile."""
    in_time, refused = len(tally.latencies_ms), sum(tally.refused.values())
    batches = counters.get("offload.batches", 0)
    sizes = [int(name.rpartition("_")[2]) for name, n in counters.items() if ".batches.to_" in name and n]
    return {
        "rate_meant": rate,
        "rate": tally.asked / asked_s,
        "n": tally.asked,
        "in_time": in_time,
        "refused": dict(tally.refused),
        "missed": tally.asked - in_time - refused,
        "lost_share": 1.0 - in_time / tally.asked if tally.asked else 0.0,
        "p50_ms": _percentile(tally.latencies_ms, 50),
        "p95_ms": _percentile(tally.latencies_ms, 95),
        "cloud_p50_ms": _percentile(tally.cloud_ms, 50),
        "verdict_p50_bytes": _percentile(tally.verdict_bytes, 50),
        "batch_mean": counters.get("offload.batched", 0) / batches if batches else None,
        "batch_largest_up_to": max(sizes, default=None),
        "cpu": cpu_s["service"] / asked_s,
        "broker_cpu": cpu_s["broker"] / asked_s,
    }


def _percentile(values: Sequence[float], share: float) -> float | None:
    return float(np.percentile(values, share)) if len(values) else None


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row of `figures` under HEAD."""
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(row["refused"].items()))
    return (
        f"{row['rate']:.1f}",
        str(row["n"]),
        str(row["in_time"]),
        refused or "0",
        str(row["missed"]),
        *("" if row[key] is None else f"{row[key]:.0f}" for key in ("p50_ms", "p95_ms", "cloud_p50_ms")),
        "" if row["batch_mean"] is None else f"{row['batch_mean']:.1f}",
        "" if row["batch_largest_up_to"] is None else f"to {row['batch_largest_up_to']}",
        f"{row['cpu']:.2f}",
        f"{row['broker_cpu']:.2f}",
    )


def conclusion(rows: Sequence[Mapping[str, Any]], devices: int) -> str:
    """Return what the table says in a sentence or two, with what it was measured on."""
    cores, (load, _, _) = os.cpu_count(), os.getloadavg()
    last = rows[-1]
    lost, rate = 100 * last["lost_share"], f"{last['rate']:.0f} requests a second"
    limit = (
        f"At {rate} {lost:.0f} % are refused or get no answer in time."
        if last["lost_share"] > LOST_SHARE
        else f"No rate up to {rate} lost more than {100 * LOST_SHARE:.0f} %."
    )
    size = rows[0]["verdict_p50_bytes"]
    verdict = "" if size is None else f" A verdict has {size:.0f} bytes (median)."
    share = (
        f"{cores} cores, shared by broker, service and {devices} simulated devices; load average at the end {load:.1f}"
    )
    return f"{limit}{verdict} Deadline {DEFAULT_TTL_MS / 1000:.0f} s; {share}."
