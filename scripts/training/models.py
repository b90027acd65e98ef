"""Opening a model to be measured: what ships, by its manifest, or any `.tflite` (int8 or float) or `.onnx` file.

Also writing manifests, whoever fitted what is in them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.errors import ModelError
from edge.perception.manifest import Manifest, ModelEntry, Output, load_manifest, verified_file
from edge.perception.runtime import RuntimeName, TfliteModel
from training.errors import TrainingError

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"edge": ROOT / "models_tflite", "full": ROOT / "cloud" / "models"}
BATCH = 64

Recognise = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Inputs (N, 48, 48) or (N, 186, 64), as the models take them, to calibrated probabilities (N, labels)."""


class OnnxNet:
    """One ONNX file over onnxruntime: `net(inputs)` are logits (N, logits) for inputs (N, H, W).

    Raises TrainingError if onnxruntime cannot open it, ValueError if it does not take such inputs.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as raised

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors: what they are about is raised as well
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except (
            *(raised.Fail, raised.InvalidArgument, raised.InvalidGraph, raised.InvalidProtobuf),
            *(raised.NoSuchFile, raised.NotImplemented, raised.RuntimeException),
        ) as error:
            raise TrainingError(f"onnxruntime cannot run {path}: {str(error).splitlines()[0]}") from error
        self._refusals = (raised.InvalidArgument, raised.Fail, raised.RuntimeException)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, logits)."""
        try:
            return np.asarray(self._session.run(None, {self._input: batch[:, None]})[0], np.float32)
        except self._refusals as error:
            raise ValueError(str(error)) from error


class Recogniser:
    """One head of one model, with its calibration: `recogniser(inputs)` are probabilities (N, labels).

    Raises TrainingError or ModelError if there is no such file or head, or if the file cannot be run.
    """

    def __init__(self, model: str, task: str, head: str, *, runtime: RuntimeName = "litert") -> None:
        self.path, outputs = _find(model, task)
        self.output, self._start, self._logits = _head(self.path, outputs, head)
        self._run = _runner(self.path, runtime)

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the probabilities."""
        return self.output.labels

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (N, labels). Raises TrainingError if the model does not take such inputs."""
        starts = tqdm(range(0, len(inputs), BATCH), desc="model", unit="batch", leave=False, delay=1)
        try:
            logits = np.concatenate([self._run(inputs[start : start + BATCH]) for start in starts])
        except ValueError as error:
            raise TrainingError(f"{self.path} does not take inputs of shape {inputs.shape[1:]}: {error}") from error
        if logits.shape[1:] != (self._logits,):
            raise TrainingError(f"{self.path} gives outputs of shape {logits.shape[1:]}, not {self._logits} logits")
        if not np.isfinite(logits).all():
            raise TrainingError(f"{self.path} gives logits that are no numbers")
        return self.output.calibrate(logits[:, self._start : self._start + len(self.labels)])


def next_version(folder: Path) -> str:
    """Return the release after the newest model in `folder`, 0.1.0 where there is none: 0.4.0 after 0.3.2.

    Raises TrainingError if the versions there are not made of numbers or cannot be read.
    """
    if not (folder / "manifest.json").exists():
        return "0.1.0"
    try:
        numbers = [entry.version.split(".") for entry in load_manifest(folder).models]
        major, minor = max((int(first), int(second)) for first, second, *_ in numbers)
    except (ModelError, ValueError) as error:
        raise TrainingError(f"no version follows those in {folder}: {error}. Name one with --version") from error
    return f"{major}.{minor + 1}.0"


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write `folder`/manifest.json, whole or not at all."""
    partial = folder / "manifest.json.part"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    partial.replace(folder / "manifest.json")


def _find(model: str, task: str) -> tuple[Path, tuple[Output, ...]]:
    if model in FOLDERS:
        folder = FOLDERS[model]
        entry = load_manifest(folder).model(task)
        return verified_file(folder, entry), entry.outputs
    path = Path(model)
    return path, _outputs_of(path, task)


def _head(path: Path, outputs: tuple[Output, ...], head: str) -> tuple[Output, int, int]:
    """Return the head, where its logits start, and how many logits all heads have together."""
    ends = np.cumsum([len(output.labels) for output in outputs])
    for output, end in zip(outputs, ends, strict=True):
        if output.name == head:
            return output, int(end) - len(output.labels), int(ends[-1])
    raise TrainingError(f"{path} has no output for {head} labels, only {', '.join(each.name for each in outputs)}")


def _outputs_of(path: Path, task: str) -> tuple[Output, ...]:
    """Return the heads of a model file: as the manifest beside it says, else the usual ones without calibration.

    Raises ModelError if the manifest names the file but means another content: its calibration would be another's.
    """
    if not path.exists():
        raise TrainingError(f"there is no model {path}: name edge, full, or a .tflite or .onnx file")
    entry = _entry_beside(path)
    if entry is not None:
        verified_file(path.parent, entry)
        return entry.outputs
    print(f"evaluate: no manifest names {path.name}: its confidences are measured as they are", file=sys.stderr)
    heads = {"ferplus": EMOTIONS, "fer2013": EMOTIONS} if task == "face" else {"speech": SPEECH_EMOTIONS}
    return tuple(Output(name, labels, 1.0, (0.0,) * len(labels), 0.0, "") for name, labels in heads.items())


def _entry_beside(path: Path) -> ModelEntry | None:
    if not (path.parent / "manifest.json").exists():
        return None
    return next((entry for entry in load_manifest(path.parent).models if entry.file == path.name), None)


def _runner(path: Path, runtime: RuntimeName) -> Recognise:
    if path.suffix == ".onnx":
        return OnnxNet(path)
    if path.suffix != ".tflite":
        raise TrainingError(f"{path} is neither .tflite nor .onnx")
    return TfliteModel(path, runtime=runtime)
