"""The command line of `scripts/fleet`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.models import ROOT
from training.report import check_docs, markdown, plain, write_docs

from cloud.link import parse_address, probe
from edge.errors import MienError
from edge.protocol import Evidence
from simulated_fleet.fleet import Fleet
from simulated_fleet.load import GROWTH, MOST_DEVICES, bottleneck, machine, measure

DESCRIPTION = """\
Simulated devices that speak the real protocol: each has a connection of its own, with last will, birth, readings,
health, and evidence if you like; what they perceive is made up.

  scripts/fleet                         a thousand devices, one reading per 3 s each, for a minute: does all arrive?
  scripts/fleet --ramp                  more and more of them, until something gives way, and what it was
  scripts/fleet --offload 0.05          one reading in twenty asks the cloud's models as well
  scripts/fleet --broker mqtt://HOST --devices 20    twenty devices at a cloud that runs already, until Ctrl-C

Without --broker it starts a Mosquitto and a `mien-cloud serve` with a store of its own, and stops both. `lag` is from a
device's publish to the moment when a dashboard that watches has the reading; then it is stored. The step is sustained
if every reading is stored, no connection broke, and 95 % of the lags are shorter than the time between two readings.
"""
HEAD = ("devices", "readings/s", "readings", "stored", "lag p50 ms", "p95 ms", "most ms", "service", "broker", "fleet")
ASKING = ("asked", "answered", "refused", "verdict p95 ms")


def main() -> int:
    """Run; 1 with one clear line where something is missing or a step is not sustained, 130 after Ctrl-C."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and not at once: what was started is to be ended
    try:
        if options.broker:
            asyncio.run(_visit(options))
            return 0
        return _load(options)
    except (TrainingError, MienError) as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fleet: stopped", file=sys.stderr)
        return 0 if options.broker else 130


def _load(options: argparse.Namespace) -> int:
    if options.docs:
        check_docs("fleet")  # before minutes of measuring
    steps = [options.devices]
    while options.ramp and steps[-1] * GROWTH <= MOST_DEVICES:
        steps.append(round(steps[-1] * GROWTH))
    rows = measure(
        steps,
        every_s=options.every,
        step_s=options.seconds,
        sites=options.sites,
        evidence=_evidence(options),
        share=options.offload,
    )
    if options.docs:
        write_docs("fleet", f"{markdown(*_table(rows))}\n\n{conclusion(rows)}")
    print(json.dumps({"steps": rows}) if options.json else f"{plain(*_table(rows), names=0)}\n{conclusion(rows)}")
    return 0 if rows[0]["sustained"] else 1


async def _visit(options: argparse.Namespace) -> None:
    """Be a fleet at somebody's broker until Ctrl-C."""
    address = await probe(parse_address(options.broker))
    fleet = Fleet(
        address, sites=options.sites, every_s=options.every, evidence=_evidence(options), share=options.offload
    )
    async with fleet:
        await fleet.grow(options.devices)
        tally = fleet.begin()
        while True:
            await asyncio.sleep(10.0)
            gone = f"; {fleet.lost.total()} connections lost" if fleet.lost else ""
            print(f"fleet: {len(tally.sent)} readings sent, {tally.acknowledged} acknowledged{gone}", file=sys.stderr)


def conclusion(rows: Sequence[dict[str, Any]]) -> str:
    """Return what the table says in a few sentences."""
    kept, last = [row for row in rows if row["sustained"]], rows[-1]
    text = "No step was sustained."
    if kept:
        best = kept[-1]
        text = f"Sustained: {best['devices']} devices, {best['rate']:.0f} readings a second"
        text += f", lag p95 {best['lag_p95_ms']:.0f} ms."
    if last["beyond"]:
        cores = ", ".join(f"{name} {share:.2f}" for name, share in last["cpu"].items())
        text += f" More were not to be had: {last['beyond']}. Cores taken before that: {cores}."
    if not last["sustained"]:
        text += f" At {last['devices']} devices the first thing to give way is {bottleneck(last, os.cpu_count() or 1)}."
        missing = last["readings"] - last["stored"]
        text += f" {missing} of its readings were not stored half a minute later." if missing else ""
        text += f" {last['hung_up']} connections broke." if last["hung_up"] else ""
    return f"{text} {machine()[0].upper()}{machine()[1:]}."


def _table(rows: Sequence[dict[str, Any]]) -> tuple[Sequence[str], list[Sequence[str]]]:
    asking = any(row["asked"] for row in rows)
    return (*HEAD, *(ASKING if asking else ())), [_cells(row, asking=asking) for row in rows]


def _cells(row: dict[str, Any], *, asking: bool) -> Sequence[str]:
    def ms(name: str) -> str:
        return "" if row[name] is None else f"{row[name]:.0f}"

    cells = [str(row["devices"]), f"{row['rate']:.0f}", str(row["readings"]), str(row["stored"])]
    cells += [ms("lag_p50_ms"), ms("lag_p95_ms"), ms("lag_max_ms")]
    cells += [f"{row['cpu'][name]:.2f}" for name in ("service", "broker", "fleet")]
    if asking:
        refused = ", ".join(f"{count} {reason}" for reason, count in sorted(row["refused"].items()))
        cells += [str(row["asked"]), str(row["answered"]), refused or "0", ms("verdict_p95_ms")]
    return cells


def _evidence(options: argparse.Namespace) -> list[Evidence]:
    if not options.offload:
        return []
    from training.bench_evidence import pack_evidence, pack_parts

    data = options.data or Path(os.environ.get("MIEN_DATA_DIR") or ROOT.parent / "shared" / "data")
    return pack_evidence(pack_parts(data, 60))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/fleet", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=_count, default=1000, metavar="N", help="to begin with (%(default)s)")
    parser.add_argument("--every", type=_positive, default=3.0, metavar="S", help="seconds per reading (%(default)s)")
    parser.add_argument("--seconds", type=_positive, default=60.0, metavar="S", help="per step (%(default)s)")
    parser.add_argument("--sites", type=_count, default=20, metavar="N", help="that they are spread over (%(default)s)")
    parser.add_argument("--ramp", action="store_true", help=f"go on with {GROWTH} times as many until one step fails")
    parser.add_argument("--offload", type=_share, default=0.0, metavar="SHARE", help="of readings, 0 to 1 (0)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="faces and voices for evidence ($MIEN_DATA_DIR)")
    parser.add_argument("--broker", metavar="URL", help="go there, mqtt://[user:password@]host[:port]; start nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    parser.add_argument("--docs", action="store_true", help="also write the table into docs/results.md")
    return parser.parse_args()


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MOST_DEVICES:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_DEVICES}")
    return count


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 1e6:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
