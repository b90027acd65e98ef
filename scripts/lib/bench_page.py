"""How long the page of a device takes over HTTP: the service as people run it, asked as a browser asks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

START_S = 120.0
STOP_S = 60.0


def time_pages(data: Path, url: str | None, spans: dict[str, float], runs: int) -> dict[str, list[float]]:
    """Return by span the milliseconds that all of a device's page took: the page, then its three questions at a time.

    `data` and `url` are those of a store that no other service has open.
    """
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "cloud.cli", "serve", "--no-accounts", "--no-worker", "--port", "0"]
        place = ["--data", str(data), "--ready-file", str(ready)] + ([] if url is None else ["--database", url])
        service = subprocess.Popen([*command, *place])
        try:
            web = _wait_for(ready, service)
            return {name: _load(web, span, runs) for name, span in spans.items()}
        finally:
            service.terminate()
            service.wait(STOP_S)


def _wait_for(ready: Path, service: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while not ready.exists():
        if service.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("bench: mien-cloud serve did not start")
        time.sleep(0.05)
    return str(json.loads(ready.read_text())["web"])


def _load(web: str, span: float, runs: int) -> list[float]:
    """Load the page so often, as cloud/dashboard/static/history.js does, after one time that is not counted."""
    until = time.time()
    query = {"site": "bench", "device": "device-0", "from": str(until - span), "until": str(until)}
    questions = [("/api/history", query), ("/api/history/health", query), ("/api/devices", {})]
    times = []
    with httpx.Client(base_url=web, timeout=60.0) as client, ThreadPoolExecutor(len(questions)) as browser:

        def get(asked: tuple[str, dict[str, str]]) -> None:
            client.get(asked[0], params=asked[1]).raise_for_status()

        for _ in range(runs + 1):
            started = time.perf_counter()
            get(("/history", {}))
            list(browser.map(get, questions))
            times.append(1000 * (time.perf_counter() - started))
    return times[1:]
