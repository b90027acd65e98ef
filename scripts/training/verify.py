"""What a shipped file must stand: its limits, and agreement with the trained net and between the runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.perception.manifest import ModelEntry
from edge.perception.runtime import TfliteModel
from training.errors import TrainingError
from training.models import BATCH, OnnxNet
from training.second_runtime import run_elsewhere

MAX_BYTES = {".tflite": 400_000, ".onnx": 18 * 1024 * 1024}
MAX_MACS = {".tflite": 25_000_000, ".onnx": 2_500_000_000}

MAX_LOSS = 0.03
"""Accuracy that int8 may cost on the calibration half."""

MAX_ONNX_GAP = 0.05
"""Largest difference of a logit between PyTorch and onnxruntime, whose weights are rounded to half precision."""

RUNTIME_EXAMPLES = 200
"""Compared between the two TFLite runtimes: the second has no fast int8 kernels on x86."""

MIN_AGREEMENT = 0.95
"""Of the runtimes' choices: they round a few int8 steps apart."""


def run_shipped(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits of a shipped file, TFLite or ONNX, for inputs (N, C, H, W)."""
    if path.suffix == ".onnx":
        net = OnnxNet(path)
        return np.concatenate([net(inputs[start : start + BATCH, 0]) for start in range(0, len(inputs), BATCH)])
    return TfliteModel(path, runtime="litert")(inputs)


def check_limits(entry: ModelEntry, path: Path) -> None:
    """Raise TrainingError if the file is larger, or the net heavier, than its place allows."""
    if entry.bytes > MAX_BYTES[path.suffix]:
        raise TrainingError(f"{path} has {entry.bytes:,} bytes, more than {MAX_BYTES[path.suffix]:,}")
    if entry.macs > MAX_MACS[path.suffix]:
        raise TrainingError(f"{path} needs {entry.macs:,} multiply-accumulates, more than {MAX_MACS[path.suffix]:,}")


def check_parity(
    path: Path, trained: NDArray[np.float32], shipped: NDArray[np.float32], truth: NDArray[np.int64], classes: int
) -> None:
    """Raise TrainingError if the file has lost too much of the trained net.

    `trained` and `shipped` are logits (N, logits) of the same examples, `truth` (N,) the labels of the first head, of
    `classes` emotions, -1 where there is none. ONNX must give the same numbers, int8 nearly the same accuracy.
    """
    if path.suffix == ".onnx":
        gap = float(np.abs(trained - shipped).max())
        if gap > MAX_ONNX_GAP:
            raise TrainingError(f"{path}: logits of PyTorch and onnxruntime differ by {gap:.4f}")
        return
    known = truth >= 0
    before, after = (
        float((part[known, :classes].argmax(axis=1) == truth[known]).mean()) for part in (trained, shipped)
    )
    if before - after > MAX_LOSS:
        raise TrainingError(f"{path}: int8 lowers the accuracy from {before:.3f} to {after:.3f}")


def runtime_agreement(path: Path, inputs: NDArray[np.float32], classes: int) -> float:
    """Return the share of inputs for which LiteRT and tflite-runtime choose the same of the first `classes` logits.

    Raises TrainingError if tflite-runtime cannot run the model or agrees too rarely.
    """
    inputs = inputs[:RUNTIME_EXAMPLES]
    try:
        other = run_elsewhere(path, inputs)
    except (OSError, RuntimeError) as error:
        raise TrainingError(f"tflite-runtime cannot run {path}: {error}") from error
    one = run_shipped(path, inputs)
    agreement = float((one[:, :classes].argmax(axis=1) == other[:, :classes].argmax(axis=1)).mean())
    if agreement < MIN_AGREEMENT:
        raise TrainingError(f"{path}: LiteRT and tflite-runtime agree on {agreement:.1%} only")
    return agreement
