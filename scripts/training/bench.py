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
from training.models import ROOT
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
RESULTS = ROOT / "docs" / "results.md"
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
    return report(options, RESULTS, put_between)


def table(rows: Rows) -> str:
    """Return the figures of `bench_models.figures` for people at a terminal."""
    lines = [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in (HEAD, *lines)) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (HEAD, *lines)
    )


def markdown(rows: Rows) -> str:
    """Return the same as a table for the documentation."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    return "\n".join([*lines, *("| " + " | ".join(_cells(row)) + " |" for row in rows)])


def put_between(page: str, text: str, name: str = "bench-models") -> str:
    """Return `page` with `text` in place of what stands between the markers. Raises TrainingError without them."""
    before, begin, rest = page.partition(f"<!-- {name}: begin -->")
    _, end, after = rest.partition(f"<!-- {name}: end -->")
    if not begin or not end:
        raise TrainingError(
            f"{RESULTS} has no lines `<!-- {name}: begin -->` and `<!-- {name}: end -->` to write between"
        )
    return f"{before}{begin}\n{text}\n{end}{after}"


def _models(options: argparse.Namespace) -> str:
    page = RESULTS.read_text(encoding="utf-8") if options.docs else ""
    if options.docs:
        put_between(page, "")  # before minutes of measuring
    if not SECOND_PYTHON.exists():
        print("bench: no tflite-runtime here (it needs Python 3.11): its rows are left out", file=sys.stderr)
    variants = bench_models.shipped_variants(second_runtime=SECOND_PYTHON.exists())
    with tempfile.TemporaryDirectory() as folder:
        tallies = bench_models.measure(variants, options.runs, Path(folder))
    rows = bench_models.figures(tallies)
    if options.docs:
        RESULTS.write_text(put_between(page, markdown(rows)), encoding="utf-8")
        print(f"wrote {RESULTS}", file=sys.stderr)
    return json.dumps({"models": rows}) if options.json else table(rows)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
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
