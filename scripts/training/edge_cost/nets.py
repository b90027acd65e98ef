"""The seeds' nets as float TFLite files: `python -m training.edge_cost.nets NAME FILE` writes one.

MiniGenie's two nets, with random weights: dense kernels do the same work whatever they multiply (bench_float.py).
TFLite instead of Keras is in the seeds' favour: `model.predict` costs tens of milliseconds a call by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

from training.bench_float import CACHE, convert_elsewhere

FACE, SPEECH = "minigenie-cnn", "minigenie-cnn1d"
FEATURES = 162
"""Means of ZCR, 12 chroma, 20 MFCC, RMS and 128 mel bands."""
SHAPES = {FACE: (1, 1, 48, 48), SPEECH: (1, 1, 1, FEATURES)}


def float_net(name: str, cache: Path = CACHE) -> Path:
    """Return the float32 TFLite file of the net, made once and kept. Raises TrainingError if it cannot be converted."""
    path = cache / f"{name}.tflite"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        print(f"bench: converting {name} to float TFLite", file=sys.stderr)
        convert_elsewhere("training.edge_cost.nets", [name], path)
    return path


def write(name: str, path: Path) -> None:
    """Write the net with seeded random weights."""
    import litert_torch
    import torch
    from torch import nn

    from training.baselines.nets_face import build_face
    from training.baselines.nets_speech import build_speech

    torch.manual_seed(0)
    net: nn.Module = build_face(name, pretrained=False) if name == FACE else build_speech(name, FEATURES)
    litert_torch.convert(net.eval(), (torch.zeros(SHAPES[name]),)).export(str(path))


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
