"""scripts/bench history: how long history takes with many readings in the store."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ulid import ULID

from cloud.arrivals import Arrival
from cloud.store import Database, devices, readings, save
from cloud.store.history import Period, health_history, history
from edge.emotions import EMOTIONS
from edge.protocol import Reading, Verdict, distribution

BATCH = 500
SPAN_S = 7 * 86_400.0
PER_DEVICE = int(SPAN_S / 3)
"""Readings of one device in a week, one every 3 s."""

EPILOG = """\
examples:
  scripts/bench history                      a million readings of five devices, one every 3 s: a week
  scripts/bench history --readings 50000     smaller and sooner
  scripts/bench history --keep bench-data    look at it afterwards: mien-cloud serve --no-accounts --data bench-data
"""


def main() -> int:
    """Fill a store, ask it what the pages ask, print the times."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench history",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--readings", type=int, default=1_000_000, metavar="N", help="how many (1000000)")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="of each question (20)")
    parser.add_argument("--database", metavar="URL", help="an empty PostgreSQL database instead of SQLite")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the store there (a temporary folder)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(options.keep or Path(folder), options.database)
        try:
            result = {"readings": options.readings, "database": database.engine.dialect.name}
            result |= _fill(database, options.readings) | {"queries": _ask(database, options.runs)}
        finally:
            database.close()
    sys.stdout.write(json.dumps(result) + "\n" if options.json else _text(result))
    return 0


def _fill(database: Database, count: int) -> dict[str, float]:
    """Store readings, a third of them with verdicts; return the rate."""
    dice, end = random.Random(1), time.time()
    started = time.perf_counter()
    batch: list[Arrival] = []
    for number in range(count):
        device, nth = f"device-{number // PER_DEVICE}", number % PER_DEVICE
        at = end - SPAN_S + 3.0 * nth
        batch += [Arrival("bench", device, message, at) for message in _messages(dice, at, nth)]
        if len(batch) >= BATCH:
            save(database.engine, batch)
            batch = []
            if number % 20_000 < BATCH:
                sys.stderr.write(f"\rstored {number} of {count}")
    save(database.engine, batch)
    sys.stderr.write("\r")
    return {"stored_per_s": count / (time.perf_counter() - started)}


def _messages(dice: random.Random, at: float, seq: int) -> list[Any]:
    head = {"session": 1, "seq": seq, "ts": at, "clock_synced": True, "mode": "research"}
    own = _distribution(dice)
    gate = "requested" if dice.random() < 1 / 3 else "sure"
    window = {"start_s": 3.0 * seq, "end_s": 3.0 * seq + 3.0, "faces": 1, "face_quality": 0.8, "voiced_share": None}
    said = Reading(
        id=str(ULID()), **head, **window, face=own, speech=None, fused=own, gate=gate, threshold=0.7, latency_ms=40.0
    )
    if gate == "sure":
        return [said]
    judged = _distribution(dice)
    return [
        said,
        Verdict(id=str(ULID()), **head, reading_id=said.id, status="ok", face=judged, fused=judged, latency_ms=90.0),
    ]


def _distribution(dice: random.Random) -> Any:
    weights = [dice.random() ** 3 for _ in EMOTIONS]
    return distribution(EMOTIONS, [weight / sum(weights) for weight in weights])


def _ask(database: Database, runs: int) -> list[dict[str, Any]]:
    engine, now = database.engine, time.time()
    spans = {"week": SPAN_S, "day": 86_400.0, "hour": 3600.0}
    questions: dict[str, Any] = {"devices": lambda: devices(engine), "last 100 readings": lambda: readings(engine)}
    for name, span in spans.items():
        for who, device in (("one device", "device-0"), ("all devices", None)):
            period = Period(None, now - span, now, "bench", device)
            questions[f"{name}, {who}"] = lambda period=period: history(engine, period)
    week = Period(None, now - SPAN_S, now, "bench", "device-0")
    questions["week by minute, one device"] = lambda: history(engine, week, "minute")
    questions["week of health"] = lambda: health_history(engine, week)
    return [{"question": name} | _time(ask, runs) for name, ask in questions.items()]


def _time(ask: Any, runs: int) -> dict[str, float]:
    times = []
    for _ in range(max(2, runs)):
        started = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - started))
    return {"p50_ms": round(statistics.median(times), 1), "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1)}


def _text(result: dict[str, Any]) -> str:
    head = f"{result['readings']} readings in {result['database']}, stored at {result['stored_per_s']:.0f} a second\n"
    rows = [
        f"{one['question']:28} p50 {one['p50_ms']:7.1f} ms   p95 {one['p95_ms']:7.1f} ms" for one in result["queries"]
    ]
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
