"""What `scripts/bench edge` says."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from training.edge_cost.measure import figures, has_fer, measure
from training.edge_cost.ways import CAMERA_FPS
from training.scenes import find_clips

AIM = 5.0
HEAD = ("in view", "way", "frames/s", "CPU s per s", "CPU to Mien", "peak MB", "memory to Mien")
SCENES = {"one": "one face", "four": "four faces"}


def run(options: argparse.Namespace, data: Path, detector: str) -> dict[str, Any]:
    """Measure as the command line says, and return the JSON object of the command."""
    clips = find_clips(data)
    fer = has_fer(options.fer_python)
    if not fer:
        print(f"bench: {options.fer_python} has no fer package: its rows are left out", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        tallies = measure(
            clips,
            60.0 * options.minutes,
            Path(folder),
            detector=detector,
            fer_python=options.fer_python if fer else None,
        )
    return {"detector": "yunet" if detector else "as installed", "fer": fer, "edge": figures(tallies)}


def table(found: dict[str, Any]) -> str:
    """Return it for people at a terminal."""
    lines = [HEAD, *(_cells(row) for row in found["edge"])]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join([*rows, said(found)])


def markdown(found: dict[str, Any]) -> str:
    """Return it as a section of docs/results.md."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    return "\n".join([said(found), "", *lines, *("| " + " | ".join(_cells(row)) + " |" for row in found["edge"])])


def said(found: dict[str, Any]) -> str:
    """Return in words what the table shows."""
    rows = {(row["scene"], row["way"]): row for row in found["edge"]}
    parts = []
    for scene, words in SCENES.items():
        ratio = rows[scene, "seeds"]["cpu_ratio"]
        verdict = "reaches" if ratio >= AIM else "misses"
        parts.append(
            f"{words}: {ratio:.1f} times Mien's processor time on every frame, which {verdict} the aim of {AIM:g}"
        )
    media_s = found["edge"][0]["media_s"]
    text = (
        f"{media_s:g} s of media at {CAMERA_FPS} frames per second, 640x480, in turns on one thread each; Mien's "
        f"detector: {found['detector']}. The seeds' way takes, with {'; with '.join(parts)}."
    )
    return text if found["fer"] else text + " The fer package was not installed."


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        SCENES[row["scene"]],
        row["about"],
        f"{row['fps']:g}",
        f"{row['cpu_per_media_s']:.3f}",
        f"{row['cpu_ratio']:.1f}",
        f"{row['peak_mb']:.0f}",
        f"{row['memory_ratio']:.1f}",
    )
