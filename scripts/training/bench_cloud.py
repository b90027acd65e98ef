"""`scripts/bench evidence` and `scripts/bench verdict`: their options, and their tables for people and for the docs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training import bench_evidence
from training.report import check_docs, markdown, plain, write_docs

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


EVIDENCE = """\
Bytes of the evidence of one window: what a device sends when it asks the cloud. The protocol allows 16,384. Measured on
the real clips, played as the device plays a file but with nothing sure and no budget, and on validation examples of the
packs (three crops of FER2013's PublicTest, one log-mel of RAVDESS's validation speakers). MQTT's topic and framing,
and TLS, come on top.

  scripts/bench evidence                    the two rows
  scripts/bench evidence --codecs --docs    and why pictures are packed as WebP; into docs/results.md
"""
VERDICT = """\
Latency from a device's question to the verdict in its hands. Starts a Mosquitto and a `mien-cloud serve` with the
shipped models on free ports of this machine, lets simulated devices ask at random moments with evidence built as on a
device, rate after rate until more than 1 % get no answer within the deadline, and stops both.

In the latency: MQTT with QoS 1 both ways, checks, queue, micro-batching, unpacking, both models, fusion.
Not in it: camera, microphone and the device's own models; radio, internet and TLS (add your round trip).

  scripts/bench verdict                      5 to 320 requests a second, 20 s each: at most 3 minutes
  scripts/bench verdict --rate 10 --seconds 5    a quick look
"""


def add_commands(commands: Any, count: Callable[[str], int]) -> None:
    """Add both to the subparsers of `scripts/bench`."""
    raw = argparse.RawDescriptionHelpFormatter
    evidence = commands.add_parser(
        "evidence", help="bytes of the evidence of one window", description=EVIDENCE, formatter_class=raw
    )
    evidence.add_argument(
        "--windows", type=count, default=bench_evidence.WINDOWS, metavar="N", help="of examples (default %(default)s)"
    )
    evidence.add_argument(
        "--codecs", action="store_true", help="beside it, what other lossless codecs would make of it"
    )
    evidence.add_argument(
        "--yunet", default="", metavar="FILE", help="YuNet's weights (default: those fetched, else Haar)"
    )
    verdict = commands.add_parser(
        "verdict", help="latency from question to verdict, at rising rates", description=VERDICT, formatter_class=raw
    )
    verdict.add_argument("--devices", type=count, default=8, metavar="N", help="that ask (default %(default)s)")
    verdict.add_argument(
        "--rate", type=_positive, nargs="+", metavar="R", help="requests per second, all devices together, in turn"
    )
    verdict.add_argument(
        "--seconds", type=_positive, default=20.0, metavar="S", help="at each rate (default %(default)g)"
    )
    for command in (evidence, verdict):
        command.add_argument(
            "--data", type=Path, metavar="DIR", help="the packs (default: $MIEN_DATA_DIR, else ../shared/data)"
        )
        command.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
        command.add_argument("--docs", action="store_true", help="also write the table into docs/results.md")


def _positive(text: str) -> float:
    number = float(text)
    if not 0.0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


def report(options: argparse.Namespace) -> str:
    """Measure, write the documentation if asked to, and return what to print."""
    name = f"bench-{options.command}"
    if options.docs:
        check_docs(name)  # before minutes of measuring
    found, plain, page = (_evidence if options.command == "evidence" else _verdict)(options)
    if options.docs:
        write_docs(name, page)
    return json.dumps({options.command: found}) if options.json else plain


def _evidence(options: argparse.Namespace) -> tuple[Any, str, str]:
    data = options.data or bench_evidence.data_folder()
    parts = bench_evidence.pack_parts(data, options.windows)
    rows = bench_evidence.measure(data, parts, options.yunet)
    tables: list[Table] = [(bench_evidence.HEAD, [bench_evidence.cells(row) for row in rows])]
    found: dict[str, Any] = {"windows": rows}
    if options.codecs:
        found["codecs"] = bench_evidence.measure_codecs(parts)
        tables.append((bench_evidence.CODEC_HEAD, [bench_evidence.codec_cells(row) for row in found["codecs"]]))
    return found, "\n\n".join(plain(*each) for each in tables), "\n\n".join(markdown(*each) for each in tables)


def _verdict(options: argparse.Namespace) -> tuple[Any, str, str]:
    from training import bench_verdict  # late: it takes an MQTT client, which the training environment lacks

    rates = options.rate or bench_verdict.RATES
    data = options.data or bench_evidence.data_folder()
    rows = bench_verdict.measure(data, options.devices, rates, options.seconds)
    head, lines = bench_verdict.HEAD, [bench_verdict.cells(row) for row in rows]
    says = bench_verdict.conclusion(rows, options.devices)
    return {"rates": rows, "note": says}, f"{plain(head, lines)}\n\n{says}", f"{markdown(head, lines)}\n\n{says}"
