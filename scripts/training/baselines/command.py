"""What `scripts/train` has for the baselines: options of `face` and `speech`, and the command `compare`."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from edge.errors import MienError
from training.baselines.catalogue import BASELINES, DEFAULT_MINUTES, PROTOCOLS, listing, names
from training.errors import TrainingError

COMPARE_HELP = f"""\
Measures the models of the papers that Mien grew out of beside its own, as they ship, in one run; first trains, or goes
on to train, what is missing of them. Speech under three protocols, which share the minutes of a model evenly:
{chr(10).join(f"  {name:12} {about}" for name, about in PROTOCOLS.items())}

Writes runs/baselines/results.json, docs/baselines.png, and docs/results.md between two marks. Ctrl-C stops; the same
command goes on.

{listing("face")}

{listing("speech")}"""


def add_options(command: argparse.ArgumentParser, task: str) -> None:
    """Add to `face` or `speech` what only baselines take."""
    group = command.add_argument_group(
        "for the baselines", f"{', '.join(names(task))}; kept in runs/baselines, see scripts/train compare --help"
    )
    _add_minutes(group)
    if task == "face":
        about = "state dictionary to start vgg16 (torchvision's layout) or xception (timm's legacy_xception) from"
        group.add_argument("--weights", type=Path, metavar="PATH", help=about)
    else:
        about = "how clips are divided: " + "; ".join(f"{name}, {text}" for name, text in PROTOCOLS.items())
        group.add_argument("--protocol", choices=list(PROTOCOLS), help=f"{about} (independent)")
    command.epilog = listing(task)


def add_compare(commands: argparse._SubParsersAction[Any]) -> argparse.ArgumentParser:
    """Add the command `compare` and return it."""
    raw = argparse.RawDescriptionHelpFormatter
    about = "baselines beside Mien's models"
    command: argparse.ArgumentParser = commands.add_parser(
        "compare", help=about, description=COMPARE_HELP, formatter_class=raw
    )
    _add_minutes(command)
    return command


def is_baseline(options: argparse.Namespace) -> bool:
    """Return whether a baseline is to be trained. Raises TrainingError if its options are given for another model."""
    if options.arch in BASELINES:
        if options.distil:
            raise TrainingError("--distil is for --arch edge: baselines learn from labels alone")
        if options.start is not None:
            raise TrainingError(
                "--start is for --arch edge and full: baselines start from random weights, or --weights"
            )
        return True
    for name in ("minutes", "weights", "protocol"):
        if getattr(options, name, None) is not None:
            raise TrainingError(f"--{name} is for the baselines: {', '.join(names(options.command))}")
    return False


def train(options: argparse.Namespace, data: Path, runs: Path) -> int:
    """Train the baseline that `options` name; return the exit status."""
    from training.baselines.run import BaselineOrder, Sources, train_baseline

    order = BaselineOrder(
        name=options.arch,
        runs=runs,
        protocol=getattr(options, "protocol", None) or "independent",
        minutes=options.minutes or DEFAULT_MINUTES,
        epochs=options.epochs,
        seed=options.seed,
        resume=options.resume,
        weights=getattr(options, "weights", None),
        threads=options.threads,
    )
    try:
        trainer = train_baseline(order, Sources(data, runs))
    except KeyboardInterrupt:
        print(
            f"train: stopped; whole epochs are saved in {order.folder}. Go on with the same command and --resume",
            file=sys.stderr,
        )
        return 130
    seconds = sum(entry["seconds"] for entry in trainer.history)
    print(f"{order.folder}: {trainer.epoch} of {trainer.config.epochs} epochs in {seconds:.0f} s of processor time")
    return 0


def compare(options: argparse.Namespace, data: Path, runs: Path, shipped: dict[str, Path]) -> int:
    """Carry out `compare`; return the exit status. Raises TrainingError."""
    from training.baselines.compare import Comparison
    from training.baselines.compare import compare as carry_out

    docs = Path(__file__).resolve().parents[3] / "docs"
    minutes = options.minutes or DEFAULT_MINUTES
    try:
        page = carry_out(Comparison(data=data, runs=runs, minutes=minutes, docs=docs, shipped=shipped))
    except KeyboardInterrupt:
        print("train: stopped; whole epochs are saved. Go on with the same command", file=sys.stderr)
        return 130
    except MienError as error:
        raise TrainingError(str(error)) from error
    print(f"wrote {page}, {docs / 'baselines.png'} and {runs / 'baselines' / 'results.json'}")
    return 0


def _add_minutes(command: argparse._ActionsContainer) -> None:
    about = f"of processor time, all threads together; stop before the epoch that would end later ({DEFAULT_MINUTES:g})"
    command.add_argument("--minutes", type=_minutes, metavar="M", help=about)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes above 0")
    return minutes
