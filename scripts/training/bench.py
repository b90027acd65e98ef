"""`scripts/bench`: what the models and the device cost to run, and what asking the cloud costs."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.errors import MienError
from training import bench_cloud, bench_device, bench_models
from training.errors import TrainingError
from training.report import check_docs, markdown, plain, write_docs
from training.second_runtime import PYTHON as SECOND_PYTHON

DESCRIPTION = """\
What the models cost to run on this machine, one input at a time on one thread, and what asking the cloud costs.

  scripts/bench models            each shipped model in each runtime, beside the same net in float
  scripts/bench models --quick    few runs: does it work, and about how fast?
  scripts/bench models --json     one JSON object
  scripts/bench edge              the device's whole way beside the seeds' and the fer package's
  scripts/bench load              a working day of the daemon in fast time: is its memory flat?
  scripts/bench evidence          bytes of the evidence of one window; --codecs: beside other ways to pack it
  scripts/bench verdict           latency from question to verdict, over a Mosquitto, at rising rates

Each has a --help of its own that says what is in its figures and what is not.
"""
RUNS = 1000
QUICK_RUNS = 50
HEAD = ("model", "runtime", "numbers", "p50 ms", "p95 ms", "to float", "CPU s/1000", "peak MB", "load ms", "kB")

Rows = Sequence[Mapping[str, Any]]


def main() -> int:
    """Measure and print; 1 with one clear line where something is missing, 130 after Ctrl-C."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and not at once: what was started is to be ended
    try:
        print(_report(options))
    except (TrainingError, MienError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def _report(options: argparse.Namespace) -> str:
    if options.command == "models":
        return _models(options)
    report = bench_device.report if options.command in bench_device.COMMANDS else bench_cloud.report
    return report(options)


def _models(options: argparse.Namespace) -> str:
    if options.docs:
        check_docs("bench-models")  # before minutes of measuring
    if not SECOND_PYTHON.exists():
        print("bench: no tflite-runtime here (it needs Python 3.11): its rows are left out", file=sys.stderr)
    variants = bench_models.shipped_variants(second_runtime=SECOND_PYTHON.exists())
    with tempfile.TemporaryDirectory() as folder:
        tallies = bench_models.measure(variants, options.runs, Path(folder))
    rows = bench_models.figures(tallies)
    lines = [cells(row) for row in rows]
    if options.docs:
        write_docs("bench-models", markdown(HEAD, lines))
    return json.dumps({"models": rows}) if options.json else plain(HEAD, lines, names=3)


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row of `bench_models.figures` under HEAD."""
    return (
        row["model"],
        row["runtime"],
        row["numbers"] if row["shipped"] else f"{row['numbers']}, not shipped",
        f"{row['p50_ms']:.2f}",
        f"{row['p95_ms']:.2f}",
        "" if row["ratio_to_float"] is None else f"{row['ratio_to_float']:.2f}",
        f"{row['cpu_s_per_1000']:.2f}",
        f"{row['peak_mb']:.0f} ({row['peak_mb'] - row['runtime_mb']:+.1f})",
        f"{row['load_ms']:.1f}",
        f"{row['bytes'] / 1000:.0f}",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    models = commands.add_parser(
        "models", help="latency, processor time and memory of each shipped model in each runtime, beside float"
    )
    models.add_argument("--runs", type=_count, default=RUNS, metavar="N", help=f"of each variant ({RUNS})")
    models.add_argument("--quick", dest="runs", action="store_const", const=QUICK_RUNS, help=f"{QUICK_RUNS} runs")
    models.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    models.add_argument("--docs", action="store_true", help="also write the table into docs/results.md")
    bench_cloud.add_commands(commands, _count)
    bench_device.add_commands(commands)
    return parser.parse_args()


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


if __name__ == "__main__":
    sys.exit(main())
