"""How long one input takes: all models in turn, so that a busy moment of the machine meets them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from tqdm import tqdm

WARM_UP = 3
ROUNDS = 60


def median_ms(calls: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return for each call the median of its wall-clock milliseconds over `rounds`, after a few that do not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in tqdm(range(WARM_UP + rounds), desc="time per input", leave=False, unit="round"):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if turn >= WARM_UP:
                times[name].append((time.perf_counter() - started) * 1e3)
    return {name: round(statistics.median(each), 3) for name, each in times.items()}
