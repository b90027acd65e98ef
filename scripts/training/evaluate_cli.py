"""The command line of `scripts/evaluate`, and its tables for people."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from training.calibrate import ECE_BINS
from training.fairness import groups_table
from training.robustness import robustness_table

DESCRIPTION = """\
How a model does on a pack (docs/data.md), as it ships: quantised, calibrated, on the runtime of the device.

  scripts/evaluate face --data face/fer2013_public.npz                       the device's model, FER+ labels
  scripts/evaluate face --data face/fer2013_public.npz --labels fer2013 --model full
  scripts/evaluate speech --data speech/ravdess.zip --split val --json
  scripts/evaluate face --data pack.npz --runtime tflite --plot plots
  scripts/evaluate speech --data speech/ravdess.zip --split val --robustness --groups sex,intensity
  scripts/evaluate text --split dev                                          the cloud's, on GoEmotions
  scripts/evaluate cascade --help                                            device and cloud together
  scripts/evaluate fusion --help                                             face and voice together
  scripts/evaluate places --help                                             the same, by how frequent emotions are
  scripts/evaluate temporal --help                                           the filter over time
  scripts/evaluate looks --help                                              several crops of one face, in the cloud
  scripts/evaluate strangers --help                                          speech, on the actors trained on
"""


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/evaluate",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # the shell script looks for --runtime, to choose the environment
    )
    parser.add_argument("task", choices=("face", "speech", "text"))
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PACK",
        help="an .npz of faces, a .zip of speech with its .csv, a .tsv or .tsv.gz of text (of text: GoEmotions in "
        "$MIEN_DATA_DIR, else ../shared/data)",
    )
    parser.add_argument("--split", help="only rows of this split; default: all")
    parser.add_argument(
        "--model",
        default="edge",
        help="edge, full, or the path of a .tflite or .onnx file (edge); of "
        "text full, or a folder with a manifest.json (full)",
    )
    parser.add_argument("--labels", choices=("ferplus", "fer2013"), default="ferplus", help="of faces (ferplus)")
    parser.add_argument("--runtime", choices=("litert", "tflite"), default="litert", help="for .tflite files (litert)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw the confusion matrix, and robustness, into DIR")
    _add_extras(parser)
    options = parser.parse_args(arguments)
    if options.noise is not None and options.task == "face":
        parser.error("--noise is for speech")
    if options.yunet is not None and options.task == "speech":
        parser.error("--yunet is for face")
    if options.data is None and options.task != "text":
        parser.error("--data is needed: the pack to measure on")
    if options.task == "text":
        _refuse_for_text(parser, options)
    return options


def _refuse_for_text(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    given = {"--robustness": options.robustness, "--groups": options.groups, "--noise": options.noise}
    given.update({"--yunet": options.yunet, "--plot": options.plot, "--runtime tflite": options.runtime == "tflite"})
    for name, value in given.items():
        if value:
            parser.error(f"{name} is not for text")


def _add_extras(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="also on the pack blurred, darkened, covered, turned, searched by the detectors; noisy, clipped, ...",
    )
    parser.add_argument(
        "--groups",
        metavar="NAME[,NAME]",
        help="also per group: of speech any column of the csv (sex, speaker, ...); of faces quality, or one of "
        "sharpness, brightness, contrast",
    )
    parser.add_argument(
        "--noise",
        type=Path,
        metavar="DIR",
        help="folder of noise.zip and noise.csv for --robustness (noise/ beside the pack's own folder)",
    )
    parser.add_argument(
        "--yunet",
        type=Path,
        metavar="FILE",
        help="YuNet's weights for --robustness (as `mien-edge models fetch` put them)",
    )


def table(figures: dict[str, Any]) -> str:
    """Return the figures of `training.evaluate.evaluate` for people at a terminal."""
    lines = [_line("", figures)]
    if "without_near_duplicates" in figures:
        lines.append(_line("without near-duplicates of training images: ", figures["without_near_duplicates"]))
    recalls, counts = figures["per_class"], np.array(figures["confusion"])
    lines += ["", f"{'':10}{'recall':>8}  recognised as"]
    lines.append(f"{'':18}" + "".join(f"{label:>10}" for label in recalls))
    for row, (label, recall) in zip(counts, recalls.items(), strict=True):
        share = "-" if recall is None else f"{recall:.1%}"
        lines.append(f"{label:10}{share:>8}" + "".join(f"{count:>10}" for count in row))
    if "groups" in figures:
        lines.append(groups_table(figures["groups"]))
    if "robustness" in figures:
        lines.append(robustness_table(figures["robustness"]))
    return "\n".join(lines)


def _line(title: str, figures: dict[str, Any]) -> str:
    return (
        f"{title}n {figures['n']}  accuracy {figures['accuracy']:.1%}  UAR {figures['uar']:.1%}  "
        f"macro-F1 {figures['macro_f1']:.3f}  ECE {figures['ece']:.3f} ({ECE_BINS} bins)"
    )
