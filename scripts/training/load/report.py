"""What `scripts/bench load` says."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from training.load.simulate import WARM_UP, Outcome, Plan, simulate
from training.scenes import find_clips, make_scene

FACES, FPS = 4, 5.0
UNITS = {"rss_mb": "resident memory, MB", "c_heap_mb": "in use of the C heap, MB", "python_blocks": "Python objects"}


def measure(options: argparse.Namespace, data: Path, detector: str) -> dict[str, Any]:
    """Simulate as the command line says, and return the JSON object of the command."""
    scene = make_scene(find_clips(data), faces=FACES, fps=FPS)
    plan = Plan(
        hours=options.hours,
        samples=options.samples,
        trouble_every_h=min(options.trouble_every, options.hours),
        detector=detector,
    )
    return summary(simulate(plan, scene))


def summary(outcome: Outcome) -> dict[str, Any]:
    """Return what is published of a simulation."""
    last = outcome.samples[-1]
    return {
        "hours": outcome.plan.hours,
        "faces": FACES,
        "fps": FPS,
        "detector": "yunet" if outcome.plan.detector else "as installed",
        "samples": len(outcome.counted),
        "growth": outcome.growth(),
        "too_much": outcome.too_much(),
        "readings": int(last["readings"]),
        "reloads": int(last["reloads"]),
        "outbox_dropped": int(last["outbox_dropped"]),
        "outbox_files_mb": max(each["outbox_files_mb"] for each in outcome.samples),
        "threads": [int(min(_of(outcome, "threads"))), int(max(_of(outcome, "threads")))],
        "files": [int(min(_of(outcome, "files"))), int(max(_of(outcome, "files")))],
        "arrived": outcome.arrived,
        "cpu_s": last["cpu_s"],
        "cpu_per_media_s": last["cpu_s"] / (outcome.plan.hours * 3600.0),
        "real_s": outcome.real_s,
    }


def table(found: dict[str, Any]) -> str:
    """Return it for people at a terminal."""
    lines = [f"{'':26}{'first':>10}{'last':>10}{'per hour':>12}  95 % interval"]
    for name, row in found["growth"].items():
        lines.append(
            f"{UNITS[name]:26}{row['first']:10.1f}{row['last']:10.1f}{row['per_hour']:+12.3f}"
            f"  {row['low']:+.3f} to {row['high']:+.3f}"
        )
    return "\n".join([*lines, said(found)])


def markdown(found: dict[str, Any]) -> str:
    """Return it as a section of docs/results.md."""
    lines = ["| | first | last | growth per hour | 95 % interval |", "| --- | --- | --- | --- | --- |"]
    for name, row in found["growth"].items():
        lines.append(
            f"| {UNITS[name]} | {row['first']:.1f} | {row['last']:.1f} | {row['per_hour']:+.3f} "
            f"| {row['low']:+.3f} to {row['high']:+.3f} |"
        )
    return "\n".join([said(found), "", *lines])


def said(found: dict[str, Any]) -> str:
    """Return in words what was done."""
    return (
        f"{found['hours']:g} simulated hours in {found['real_s'] / 60:.0f} minutes: {found['faces']} faces at "
        f"{found['fps']:g} frames per second with sound, {found['readings']} readings, {found['reloads']} reloads, "
        f"{found['cpu_per_media_s']:.3f} s of processor time per second of media. {found['samples']} samples after "
        f"the first {WARM_UP:.0%} of the time; threads {_range(found['threads'])}, open files "
        f"{_range(found['files'])}, database at most {found['outbox_files_mb']:.1f} MB."
    )


def _of(outcome: Outcome, name: str) -> list[float]:
    return [each[name] for each in outcome.counted]


def _range(ends: list[int]) -> str:
    return f"{ends[0]} to {ends[1]}" if ends[0] != ends[1] else str(ends[0])
