"""`scripts/evaluate`: how a model that ships, or any other, does on a pack."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.errors import MienError
from edge.perception.manifest import Manifest, ModelEntry, Output, load_manifest, verified_file
from edge.perception.runtime import TfliteModel
from training.calibrate import ECE_BINS, expected_calibration_error
from training.confusion import confusion_matrix, macro_f1, unweighted_recall
from training.errors import TrainingError
from training.packs import Pack, read_face_pack, read_speech_pack

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"edge": ROOT / "models_tflite", "full": ROOT / "cloud" / "models"}
BATCH = 64

DESCRIPTION = """\
How a model does on a pack (docs/data.md), as it ships: quantised, calibrated, on the runtime of the device.

  scripts/evaluate face --data face/fer2013_public.npz                       the device's model, FER+ labels
  scripts/evaluate face --data face/fer2013_public.npz --labels fer2013 --model full
  scripts/evaluate speech --data speech/ravdess.zip --split val --json
  scripts/evaluate face --data pack.npz --runtime tflite --plot plots
"""

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def main() -> int:
    """Measure and print; 1 with one clear line where data or model are not right."""
    options = _options()
    try:
        figures = evaluate(options)
    except (TrainingError, MienError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    print(json.dumps(figures) if options.json else _table(figures))
    return 0


def evaluate(options: argparse.Namespace) -> dict[str, object]:
    """Return the figures; draw the confusion matrix if asked for. Raises TrainingError or ModelError."""
    if options.task == "face":
        pack, head = read_face_pack(options.data, labels=options.labels, split=options.split), options.labels
    else:
        pack, head = read_speech_pack(options.data, split=options.split), "speech"
    run, output, start = _model(options, head)
    probabilities = output.calibrate(_logits(run, pack.inputs)[:, start : start + len(output.labels)])
    figures = measure(probabilities, pack, output.labels)
    if options.plot is not None:
        from training.plots import plot_confusion

        options.plot.mkdir(parents=True, exist_ok=True)
        path = options.plot / f"confusion-{options.task}-{Path(options.model).stem}-{head}.png"
        plot_confusion(np.array(figures["confusion"]), output.labels, path)
        print(f"wrote {path}", file=sys.stderr)
    return figures


def measure(probabilities: NDArray[np.float32], pack: Pack, labels: tuple[str, ...]) -> dict[str, object]:
    """Return all figures of calibrated `probabilities`, (N, labels), on the pack."""
    figures = _figures(probabilities, pack.truth, labels)
    if pack.leaked is not None and pack.leaked.any():
        kept = ~pack.leaked
        alone = _figures(probabilities[kept], pack.truth[kept], labels)
        figures["without_near_duplicates"] = {key: value for key, value in alone.items() if key != "confusion"}
    return figures


def _figures(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], labels: tuple[str, ...]
) -> dict[str, object]:
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


def _logits(run: Run, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    starts = tqdm(range(0, len(inputs), BATCH), desc="model", unit="batch", leave=False)
    return np.concatenate([run(inputs[start : start + BATCH]) for start in starts])


def _model(options: argparse.Namespace, head: str) -> tuple[Run, Output, int]:
    """Return what computes logits, the head, and where its logits start."""
    if options.model in FOLDERS:
        folder = FOLDERS[options.model]
        entry = load_manifest(folder).model(options.task)
        path, outputs = verified_file(folder, entry), entry.outputs
    else:
        path = Path(options.model)
        outputs = _outputs_of(path, options.task)
    start = 0
    for output in outputs:
        if output.name == head:
            return _runner(path, options), output, start
        start += len(output.labels)
    raise TrainingError(f"{path} has no output for {head} labels, only {', '.join(each.name for each in outputs)}")


def _outputs_of(path: Path, task: str) -> tuple[Output, ...]:
    """Return the heads of a model file: as the manifest beside it says, else the usual ones without calibration."""
    if not path.exists():
        raise TrainingError(f"there is no model {path}: name edge, full, or a .tflite or .onnx file")
    entry = _entry_beside(path)
    if entry is not None:
        return entry.outputs
    print(f"evaluate: no manifest names {path.name}: its confidences are measured as they are", file=sys.stderr)
    heads = {"ferplus": EMOTIONS, "fer2013": EMOTIONS} if task == "face" else {"speech": SPEECH_EMOTIONS}
    return tuple(Output(name, labels, 1.0, (0.0,) * len(labels), 0.0, "") for name, labels in heads.items())


def _entry_beside(path: Path) -> ModelEntry | None:
    if not (path.parent / "manifest.json").exists():
        return None
    manifest: Manifest = load_manifest(path.parent)
    return next((entry for entry in manifest.models if entry.file == path.name), None)


def _runner(path: Path, options: argparse.Namespace) -> Run:
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda batch: np.asarray(session.run(None, {name: batch[:, None]})[0], np.float32)
    if path.suffix != ".tflite":
        raise TrainingError(f"{path} is neither .tflite nor .onnx")
    return TfliteModel(path, runtime=options.runtime)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/evaluate", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=("face", "speech"))
    parser.add_argument(
        "--data", type=Path, required=True, help="pack: an .npz of faces, a .zip of speech with its .csv"
    )
    parser.add_argument("--split", help="only rows of this split; default: all")
    parser.add_argument("--model", default="edge", help="edge, full, or the path of a .tflite or .onnx file (edge)")
    parser.add_argument("--labels", choices=("ferplus", "fer2013"), default="ferplus", help="of faces (ferplus)")
    parser.add_argument("--runtime", choices=("litert", "tflite"), default="litert", help="for .tflite files (litert)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw the confusion matrix into DIR")
    return parser.parse_args()


def _table(figures: dict[str, object]) -> str:
    lines = [_line("", figures)]
    if "without_near_duplicates" in figures:
        lines.append(_line("without near-duplicates of training images: ", figures["without_near_duplicates"]))
    recalls, counts = figures["per_class"], np.array(figures["confusion"])
    lines += ["", f"{'':10}{'recall':>8}  recognised as"]
    lines.append(f"{'':18}" + "".join(f"{label:>10}" for label in recalls))
    for row, (label, recall) in zip(counts, recalls.items(), strict=True):
        share = "-" if recall is None else f"{recall:.1%}"
        lines.append(f"{label:10}{share:>8}" + "".join(f"{count:>10}" for count in row))
    return "\n".join(lines)


def _line(title: str, figures: dict[str, object]) -> str:
    return (
        f"{title}n {figures['n']}  accuracy {figures['accuracy']:.1%}  UAR {figures['uar']:.1%}  "
        f"macro-F1 {figures['macro_f1']:.3f}  ECE {figures['ece']:.3f} ({ECE_BINS} bins)"
    )


if __name__ == "__main__":
    sys.exit(main())
