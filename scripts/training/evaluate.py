"""`scripts/evaluate`: how a model that ships, or any other, does on a pack."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import MienError
from edge.perception.detect import FaceDetector, HaarDetector, YunetDetector
from edge.perception.fetched import YUNET_FILE, data_folder
from training import cascade_cli, fairness, robustness, robustness_face, robustness_speech
from training.calibrate import expected_calibration_error
from training.confusion import confusion_matrix, macro_f1, unweighted_recall
from training.errors import TrainingError
from training.evaluate_cli import parse_options, table
from training.models import Recogniser
from training.packs import Clips, Pack, read_clips, read_face_pack, read_noises

PAGES = {
    "fusion": "evaluate_fusion",
    "temporal": "evaluate_temporal",
    "looks": "evaluate_looks",
    "places": "evaluate_places",
    "strangers": "evaluate_strangers",
}
"""Modules with a `main` of their own, imported late: some play clips, which the others need not."""

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def main() -> int:
    """Measure and print; 1 with one clear line where data or model are not right, 130 after Ctrl-C."""
    try:
        if sys.argv[1:2] == ["cascade"]:
            print(cascade_cli.run(sys.argv[2:]))
            return 0
        if sys.argv[1:2] and sys.argv[1] in PAGES:
            page = importlib.import_module(f"training.{PAGES[sys.argv[1]]}")
            print(page.main(sys.argv[2:]))
            return 0
        options = parse_options()
        figures = evaluate(options)
    except (TrainingError, MienError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps(_plain(figures)))
    elif options.task == "text":
        from training.text.measure import text_table

        print(text_table(figures))
    else:
        print(table(figures))
    return 0


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures; draw pictures if asked for. Raises TrainingError, ModelError or OSError.

    `robustness` is a list of RobustnessFigures, `groups` a dictionary of lists of GroupFigures, where they were asked.
    """
    if options.task == "text":
        from training.text.measure import evaluate_text  # late: its libraries are not where tflite-runtime is

        return evaluate_text(options, Path(os.environ.get("MIEN_DATA_DIR") or SHARED_DATA))
    if options.plot is not None:
        options.plot.mkdir(parents=True, exist_ok=True)  # before minutes of measuring
    return _evaluate_face(options) if options.task == "face" else _evaluate_speech(options)


def _evaluate_face(options: argparse.Namespace) -> dict[str, Any]:
    pack = read_face_pack(options.data, labels=options.labels, split=options.split)
    wanted = _face_groupings(options.groups)
    recognise = Recogniser(options.model, "face", options.labels, runtime=options.runtime)
    probabilities = recognise(pack.inputs)
    figures = measure(probabilities, pack, recognise.labels)
    if wanted:
        qualities = fairness.quality_groups(pack.inputs)
        figures["groups"] = {
            name: fairness.group_figures(probabilities, pack.truth, qualities[name]) for name in wanted
        }
    if options.robustness:
        figures["robustness"] = robustness_face.robustness_figures(recognise, pack, _detectors(options.yunet))
    _draw(figures, options, recognise, options.labels)
    return figures


def _evaluate_speech(options: argparse.Namespace) -> dict[str, Any]:
    clips = read_clips(options.data, split=options.split)
    wanted = _columns(options.groups, clips, options.data)
    recognise = Recogniser(options.model, "speech", "speech", runtime=options.runtime)
    pack = clips.pack()
    probabilities = recognise(pack.inputs)
    figures = measure(probabilities, pack, recognise.labels)
    speakers = clips.columns.get("speaker")
    if wanted:
        figures["groups"] = {
            name: fairness.group_figures(probabilities, pack.truth, clips.columns[name], speakers) for name in wanted
        }
    if options.robustness:
        noises = read_noises(options.noise or _noise_folder(options.data))
        _say_what_is_left_out(noises, speakers)
        figures["robustness"] = robustness_speech.robustness_figures(
            recognise, clips.sounds, clips.truth, speakers=speakers, noises=noises
        )
    _draw(figures, options, recognise, "speech")
    return figures


def measure(probabilities: NDArray[np.float32], pack: Pack, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return all figures of calibrated `probabilities`, (N, labels), on the pack."""
    figures = _figures(probabilities, pack.truth, labels)
    if pack.leaked is not None and pack.leaked.any() and not pack.leaked.all():
        kept = ~pack.leaked
        alone = _figures(probabilities[kept], pack.truth[kept], labels)
        figures["without_near_duplicates"] = {key: value for key, value in alone.items() if key != "confusion"}
    return figures


def _figures(probabilities: NDArray[np.float32], truth: NDArray[np.int64], labels: tuple[str, ...]) -> dict[str, Any]:
    chosen = probabilities.argmax(axis=1)
    counts = confusion_matrix(chosen, truth, len(labels))
    total = counts.sum(axis=1)
    return {
        "n": len(truth),
        "accuracy": float((chosen == truth).mean()),
        "uar": unweighted_recall(chosen, truth),
        "macro_f1": macro_f1(counts),
        "ece": expected_calibration_error(probabilities, truth),
        "per_class": {
            label: float(counts[index, index] / total[index]) if total[index] else None
            for index, label in enumerate(labels)
        },
        "confusion": counts.tolist(),
    }


def _face_groupings(names: str | None) -> list[str]:
    if names is None:
        return []
    wanted = [each for name in names.split(",") for each in (fairness.QUALITIES if name == "quality" else (name,))]
    unknown = set(wanted) - set(fairness.QUALITIES)
    if unknown:
        known = ", ".join(("quality", *fairness.QUALITIES))
        raise TrainingError(f"faces have no groups by {', '.join(sorted(unknown))}, only by {known}")
    return wanted


def _columns(names: str | None, clips: Clips, data: Path) -> list[str]:
    wanted = [] if names is None else names.split(",")
    unknown = set(wanted) - set(clips.columns)
    if unknown:
        known = ", ".join(clips.columns)
        raise TrainingError(f"{data.with_suffix('.csv')} has no column {', '.join(sorted(unknown))}, only {known}")
    return wanted


def _detectors(yunet: Path | None) -> list[FaceDetector]:
    """Return Haar, and YuNet if its weights are named or were fetched."""
    fetched = data_folder() / YUNET_FILE
    weights = yunet or (fetched if fetched.exists() else None)
    if weights is not None:
        return [HaarDetector(), YunetDetector(weights)]
    print("evaluate: no weights of YuNet, its rows are left out: `mien-edge models fetch`, or --yunet", file=sys.stderr)
    return [HaarDetector()]


def _noise_folder(data: Path) -> Path:
    return data.resolve().parent.parent / "noise"


def _say_what_is_left_out(noises: list[NDArray[np.float32]], speakers: list[str] | None) -> None:
    if not noises:
        print(
            "evaluate: no background noises, their rows are left out: name their folder with --noise", file=sys.stderr
        )
    if len(set(speakers or ())) < 2:
        print("evaluate: fewer than two known speakers, the rows of babble are left out", file=sys.stderr)


def _draw(figures: dict[str, Any], options: argparse.Namespace, recognise: Recogniser, head: str) -> None:
    if options.plot is None:
        return
    from training.plots import plot_confusion
    from training.plots_robustness import plot_robustness

    name = (
        f"{options.task}-{recognise.path.stem if options.model not in ('edge', 'full') else options.model}-{head}.png"
    )
    plot_confusion(np.array(figures["confusion"]), recognise.labels, options.plot / f"confusion-{name}")
    print(f"wrote {options.plot / f'confusion-{name}'}", file=sys.stderr)
    if options.robustness:
        plot_robustness(figures["robustness"], f"{options.task}, {options.model}", options.plot / f"robustness-{name}")
        print(f"wrote {options.plot / f'robustness-{name}'}", file=sys.stderr)


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures as JSON has them."""
    plain = dict(figures)
    if "robustness" in plain:
        plain["robustness"] = robustness.robustness_json(plain["robustness"])
    if "groups" in plain:
        plain["groups"] = fairness.groups_json(plain["groups"])
    return plain


if __name__ == "__main__":
    sys.exit(main())
