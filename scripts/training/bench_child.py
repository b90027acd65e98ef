"""One model in a process of its own, timed: `python -m training.bench_child RUNTIME MODEL INPUT.npy`.

RUNTIME is litert, tflite (tflite-runtime) or onnx. Prints one JSON line when the model is loaded; then, for each number
N read from standard input, runs it N times and prints one JSON line. Imports nothing but numpy and the runtime, so that
memory is the model's and the runtime's, and so that it works in the environment of the second runtime.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RunOnce = Callable[[NDArray[np.float32]], object]


def main(runtime: str, model: str, inputs: str) -> None:
    """Load, say so, and time as often as asked."""
    examples = np.load(inputs)
    opener = _prepared(runtime)
    before_kb = peak_kb()
    started = time.perf_counter()
    run = opener(Path(model))
    print(json.dumps({"load_ms": 1e3 * (time.perf_counter() - started), "runtime_kb": before_kb}), flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(run, examples, int(line))), flush=True)


def timed(run: RunOnce, examples: NDArray[np.float32], count: int) -> dict[str, object]:
    """Run `count` times, one example after another; times in ms, CPU in s of all threads, memory in KiB."""
    times_ms = []
    cpu_started = time.process_time()
    for number in range(count):
        example = examples[number % len(examples)][np.newaxis]
        started = time.perf_counter_ns()
        run(example)
        times_ms.append((time.perf_counter_ns() - started) / 1e6)
    return {"times_ms": times_ms, "cpu_s": time.process_time() - cpu_started, "peak_kb": peak_kb()}


def peak_kb() -> int:
    """Return the peak resident memory of this process, KiB (VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def _prepared(runtime: str) -> Callable[[Path], RunOnce]:
    """Import the runtime and return what opens a model in it, on one thread."""
    if runtime == "onnx":
        return _onnx_opener()
    from edge.perception.runtime import MODULES, RuntimeName, TfliteModel

    name: RuntimeName = "litert" if runtime == "litert" else "tflite"
    importlib.import_module(MODULES[name])
    return lambda path: TfliteModel(path, runtime=name, threads=1)


def _onnx_opener() -> Callable[[Path], RunOnce]:
    import onnxruntime

    def open_model(path: Path) -> RunOnce:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors: warnings are no part of what is measured
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda example: session.run(None, {name: example})

    return open_model


if __name__ == "__main__":
    main(*sys.argv[1:])
