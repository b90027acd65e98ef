"""scripts/bench history: how long history takes with many readings in the store."""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_page import time_pages
from training.report import check_docs, markdown, write_docs
from ulid import ULID

from cloud.arrivals import Arrival
from cloud.store import Database, devices, readings, save
from cloud.store.history import Period, health_history, history
from edge.emotions import EMOTIONS
from edge.protocol import Health, Percentiles, Reading, SourceHealth, Verdict, distribution

BATCH = 500
SPAN_S = 7 * 86_400.0
PER_DEVICE = int(SPAN_S / 3)
"""Readings of one device in a week, one every 3 s."""

PER_HEALTH = 20
"""Readings to a report of health, one a minute."""

SPANS = {"week": SPAN_S, "day": 86_400.0, "hour": 3600.0}

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
    parser.add_argument("--docs", action="store_true", help="also write the table into docs/results.md")
    options = parser.parse_args()
    task = f"bench-history-{'sqlite' if options.database is None else 'postgresql'}"
    if options.docs:
        check_docs(task)  # before minutes of measuring
    with tempfile.TemporaryDirectory() as folder:
        data = options.keep or Path(folder)
        database = Database(data, options.database)
        try:
            result = {"readings": options.readings, "database": database.engine.dialect.name}
            result |= _fill(database, options.readings) | {"queries": _ask(database, options.runs)}
        finally:
            database.close()
        pages = time_pages(data, options.database, SPANS, options.runs)
        result["queries"] += [{"question": f"device page, {name}"} | _figures(times) for name, times in pages.items()]
    result["load"] = round(os.getloadavg()[0], 1)
    sys.stdout.write(json.dumps(result) + "\n" if options.json else _text(result))
    if options.docs:
        write_docs(task, _table(result))
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
    messages: list[Any] = [said]
    if gate == "requested":
        judged = _distribution(dice)
        answer = {"status": "ok", "face": judged, "fused": judged, "latency_ms": 90.0}
        messages.append(Verdict(id=str(ULID()), **head, reading_id=said.id, **answer))
    if seq % PER_HEALTH == 0:
        messages.append(_health(dice, head))
    return messages


def _health(dice: random.Random, head: dict[str, Any]) -> Health:
    camera = SourceHealth(state="ok", rate=5.0, dropped=0)
    return Health(
        id=str(ULID()),
        **head,
        uptime_s=3.0 * head["seq"],
        sources={"camera": camera},
        timings={"reading": Percentiles(p50_ms=40.0, p95_ms=60 + 40 * dice.random())},
        **dict.fromkeys(("outbox_rows", "outbox_bytes", "outbox_dropped", "bytes_written"), 0),
        memory_mb=143.0,
        temperature_c=50 + 20 * dice.random(),
        throttled=False,
    )


def _distribution(dice: random.Random) -> Any:
    weights = [dice.random() ** 3 for _ in EMOTIONS]
    return distribution(EMOTIONS, [weight / sum(weights) for weight in weights])


def _ask(database: Database, runs: int) -> list[dict[str, Any]]:
    engine, now = database.engine, time.time()
    questions: dict[str, Any] = {"devices": lambda: devices(engine), "last 100 readings": lambda: readings(engine)}
    for name, span in SPANS.items():
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
    return _figures(times)


def _figures(times: list[float]) -> dict[str, float]:
    return {"p50_ms": round(statistics.median(times), 1), "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1)}


def _text(result: dict[str, Any]) -> str:
    head = f"{result['readings']} readings in {result['database']}, stored at {result['stored_per_s']:.0f} a second\n"
    rows = [
        f"{one['question']:28} p50 {one['p50_ms']:7.1f} ms   p95 {one['p95_ms']:7.1f} ms" for one in result["queries"]
    ]
    return head + "\n".join(rows) + "\n"


def _table(result: dict[str, Any]) -> str:
    rows = [(one["question"], f"{one['p50_ms']:.1f}", f"{one['p95_ms']:.1f}") for one in result["queries"]]
    head = f"{result['database']}, {result['readings']:,} readings"
    said = f"Stored at {result['stored_per_s']:.0f} readings a second. Load average at the end {result['load']}."
    return f"{markdown((head, 'p50 ms', 'p95 ms'), rows)}\n\n{said} {os.cpu_count()} cores."


if __name__ == "__main__":
    sys.exit(main())
