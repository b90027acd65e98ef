"""The float partner of a shipped int8 model: `python -m training.bench_float TASK ARCH FILE` writes it.

It has random weights, which is as good as the trained ones: dense kernels do the same work whatever they multiply.
Measured on one core, 400 runs in turns: the trained speech-full 0.797 ms, two random ones 0.797 and 0.795. Two things
would break it: values so small that they are denormal (63 ms), and weights of nothing but zeros, which the converter
folds away (a face-edge of zeros takes 0.007 ms). He's initialisation makes neither.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from training.errors import TrainingError
from training.models import ROOT

CACHE = ROOT / "runs" / "bench"
CONVERSION_S = 300


def float_partner(task: str, arch: str, parameters: int, macs: int, cache: Path = CACHE) -> Path | None:
    """Return a float32 TFLite file of the net `arch` of nets.py, made once and kept in `cache`.

    None, with a line on standard error, if nets.py no longer describes a net of so many parameters and
    multiply-accumulates. Raises TrainingError if it cannot be converted.
    """
    from training.nets import build, count_macs, count_parameters, input_shape

    net = build(task, arch)
    if (count_parameters(net), count_macs(net, input_shape(task))) != (parameters, macs):
        print(f"bench: nets.py no longer has the net of {task}-{arch}: its float rows are left out", file=sys.stderr)
        return None
    path = cache / f"{task}-{arch}-{hashlib.sha256(str(net).encode()).hexdigest()[:12]}.tflite"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        print(f"bench: converting {task}-{arch} to float TFLite", file=sys.stderr)
        convert_elsewhere("training.bench_float", [task, arch], path)
    return path


def write_float(task: str, arch: str, path: Path) -> None:
    """Write the net with seeded random weights as a float32 TFLite file for one example at a time."""
    import litert_torch
    import torch

    from training.nets import build, input_shape

    torch.manual_seed(0)
    net = build(task, arch)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(layer.weight)  # residual branches start as zeros, which might be folded away
    litert_torch.convert(net.eval(), (torch.zeros(1, *input_shape(task)),)).export(str(path))


def convert_elsewhere(module: str, arguments: list[str], path: Path) -> None:
    """Let `python -m MODULE ARGUMENTS FILE` write `path`: the converters print and keep a gigabyte.

    Raises TrainingError if it fails.
    """
    half_made = path.with_suffix(".part")
    command = [sys.executable, "-m", module, *arguments, str(half_made)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=CONVERSION_S, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise TrainingError(f"{'-'.join(arguments)} cannot be converted to float TFLite: {said[-1]}")
    half_made.replace(path)


if __name__ == "__main__":
    write_float(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
