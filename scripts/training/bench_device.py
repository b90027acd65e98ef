"""`scripts/bench edge` and `scripts/bench load`: what the device's whole way costs, and whether it grows."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.models import ROOT
from training.report import check_docs, write_docs

COMMANDS = ("edge", "load")

EDGE = """\
What the device's whole way from frames and sound to readings costs: processor time per second of media, and peak
memory. Beside it, on the same media in the same run: the way of the systems that Mien grew out of (a Haar cascade on
whole frames, a float net per face, librosa's features before a second one), on every frame, on every tenth, and at
Mien's frame rate; and the fer package where it is installed.

All take turns, window by window, each in a process of its own on one thread, so the ratios hold on a busy machine too.
Decoding, capture and the network are in nobody's figures. The rebuilt nets run in LiteRT without Keras, and their sound
needs no resampling: both in their favour.
"""
LOAD = """\
A working day of the device in fast time: the real service, daemon, models, link, outbox and a real Mosquitto, with
four faces at 5 frames per second and sound. Once an hour the settings are reloaded, the camera is unplugged and the
broker is killed. Memory is sampled all the while, and its growth per hour fitted (Theil-Sen, after a quarter of the
time).

Only the clock, camera, microphone and the cloud's answers are made up. Eight hours take a quarter of an hour of
processor time. Exit status 1 if memory grows for certain by more than it may. Ctrl-C ends it early, with the
hours simulated by then.
"""


def add_commands(commands: Any) -> None:
    """Add the two commands to argparse's sub-parsers."""
    edge = commands.add_parser(
        "edge",
        help="the device's whole way beside the seeds' and the fer package's",
        description=EDGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    edge.add_argument("--minutes", type=_positive, default=0.5, metavar="N", help="of media for each way (0.5)")
    edge.add_argument(
        "--fer-python", default=sys.executable, metavar="PYTHON", help="one that has the fer package (this one)"
    )
    load = commands.add_parser(
        "load",
        help="a day of the daemon in fast time: is its memory flat?",
        description=LOAD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    load.add_argument("--hours", type=_positive, default=8.0, metavar="H", help="simulated (8)")
    load.add_argument("--samples", type=_samples, default=240, metavar="N", help="of memory, over that time (240)")
    load.add_argument("--trouble-every", type=_positive, default=1.0, metavar="H", help="hours between troubles (1)")
    for command in (edge, load):
        command.add_argument("--detector", metavar="FILE", help="YuNet's weights (those found, else the Haar cascade)")
        command.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
        command.add_argument("--docs", action="store_true", help="also write the table into docs/results.md")


def report(options: argparse.Namespace) -> str:
    """Measure and return what is to be printed. Raises TrainingError or MienError where something is missing."""
    name = f"bench-{options.command}"
    if options.docs:
        check_docs(name)  # before minutes of measuring
    found, table, section = (_edge if options.command == "edge" else _load)(options)
    if options.docs:
        write_docs(name, section)
    text = json.dumps(found) if options.json else table
    if found.get("too_much"):
        print(text)
        raise TrainingError(f"memory grows by more than it may: {', '.join(found['too_much'])}")
    return text


def _edge(options: argparse.Namespace) -> tuple[dict[str, Any], str, str]:
    from training.edge_cost import report

    found = report.run(options, data_folder(), find_detector(options.detector))
    return found, report.table(found), report.markdown(found)


def _load(options: argparse.Namespace) -> tuple[dict[str, Any], str, str]:
    from training.load import report

    found = report.measure(options, data_folder(), find_detector(options.detector))
    return found, report.table(found), report.markdown(found)


def data_folder() -> Path:
    """Return the folder of the data packs."""
    return Path(os.environ.get("MIEN_DATA_DIR", ROOT.parent / "shared" / "data"))


def find_detector(named: str | None) -> str:
    """Return the path of YuNet's weights: those named, in $MIEN_MODELS_DIR, or beside the data; "": those fetched."""
    from edge.perception.fetched import YUNET_FILE

    if named is not None:
        return named
    beside = Path(os.environ.get("MIEN_MODELS_DIR", data_folder().parent / "models")) / YUNET_FILE
    return str(beside) if beside.exists() else ""


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0.0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _samples(text: str) -> int:
    count = int(text)
    if count < 12:
        raise argparse.ArgumentTypeError("must be at least 12, for a slope")
    return count
