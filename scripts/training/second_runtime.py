"""Run a model in tflite-runtime, in its own process: `python -m training.second_runtime MODEL INPUTS.npy OUTPUTS.npy`.

tflite-runtime needs numpy 1, everything else here numpy 2; so it lives in an environment of its own, `.venv-tflite`.
This module and what it imports must do with numpy and tflite-runtime alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.perception.runtime import TfliteModel

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-tflite" / "bin" / "python"


def run_elsewhere(model: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the outputs (N, logits) of `model` in tflite-runtime. Raises RuntimeError if it cannot run there."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "inputs.npy", Path(folder) / "outputs.npy"
        np.save(before, inputs)
        command = [str(PYTHON), "-m", "training.second_runtime", str(model), str(before), str(after)]
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else str(done.returncode))
        return np.asarray(np.load(after), dtype=np.float32)


def main(model: str, inputs: str, outputs: str) -> None:
    """Run in the environment of the second runtime: read inputs, write outputs, both .npy."""
    np.save(outputs, TfliteModel(Path(model), runtime="tflite")(np.load(inputs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
