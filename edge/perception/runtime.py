"""One adapter over the two TFLite runtimes: LiteRT first, tflite-runtime second."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError, RuntimeMissing
from edge.quiet import native_stderr_silenced

RuntimeName = Literal["litert", "tflite"]
MODULES: dict[RuntimeName, str] = {"litert": "ai_edge_litert.interpreter", "tflite": "tflite_runtime.interpreter"}


class TfliteModel:
    """An int8 (or float) TFLite model with one input and one output, run on `threads` threads.

    >>> logits = TfliteModel(path)(batch)

    Not safe to share between threads. Raises RuntimeMissing if no runtime can be imported, ModelError if the file is
    no model that the runtime can run.
    """

    def __init__(self, path: Path, *, runtime: RuntimeName | None = None, threads: int = 1) -> None:
        self.runtime, interpreter = _interpreter_class(runtime)
        try:
            with native_stderr_silenced():
                self._interpreter = interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
            (self._input,) = self._interpreter.get_input_details()
            (self._output,) = self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self.runtime} cannot run {path}: {error}", fix="Install the models again.") from error

    @property
    def output_step(self) -> float:
        """What one step of an int8 output is worth in real units; 0 for a float output."""
        return float(self._output["quantization"][0])

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return dequantised outputs, shape (N, outputs), for `batch`, shape (N, ...), one example at a time.

        Each example must have as many elements as the model's input; the values are in real units and are quantised
        here with the scale and zero point of the model.
        """
        outputs = [self._one(example) for example in batch]
        return np.stack(outputs) if outputs else np.empty((0, int(np.prod(self._output["shape"]))), np.float32)

    def _one(self, example: NDArray[np.float32]) -> NDArray[np.float32]:
        values = quantise(example.reshape(self._input["shape"]), self._input)
        self._interpreter.set_tensor(self._input["index"], values)
        self._interpreter.invoke()
        raw = self._interpreter.get_tensor(self._output["index"]).reshape(-1)
        return dequantise(raw, self._output)


def find_runtime(wanted: RuntimeName | None = None) -> RuntimeName:
    """Return which runtime would be used. Raises RuntimeMissing if none can be imported."""
    return _interpreter_class(wanted)[0]


def quantise(values: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[Any]:
    """Turn real values into the tensor's own type: round(x / scale) + zero point, saturated; floats pass through."""
    dtype = detail["dtype"]
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype)
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max), dtype)


def dequantise(raw: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.float32]:
    """Turn the tensor's own values into real ones: (q - zero point) * scale; floats pass through."""
    if not np.issubdtype(detail["dtype"], np.integer):
        return raw.astype(np.float32)
    scale, zero_point = detail["quantization"]
    return np.asarray((raw.astype(np.float32) - zero_point) * scale, np.float32)


def _interpreter_class(wanted: RuntimeName | None) -> tuple[RuntimeName, Any]:
    problems = []
    for name, module in MODULES.items():
        if wanted not in (None, name):
            continue
        try:
            return name, importlib.import_module(module).Interpreter
        except ImportError as error:
            problems.append(f"{name}: {error}")
    raise RuntimeMissing(
        f"no TFLite runtime can be imported ({'; '.join(problems)})",
        fix="Run `pip install ai-edge-litert`, or tflite-runtime on Python 3.11 and numpy 1.",
    )
