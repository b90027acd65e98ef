"""Full-size models in the small: two ONNX files of one neuron per label, written without the `onnx` package.

GlobalAveragePool -> Flatten -> Gemm: what the model says depends only on the mean of its input, so a test can ask for
an answer: a white crop is `happy`, a black one `sad`; a loud log-mel is `angry`, a quiet one `calm`.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS

FLOAT = 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, dims: tuple[int, ...], values: list[float]) -> bytes:
    shape = b"".join(_number(1, dim) for dim in dims)
    return shape + _number(2, FLOAT) + _bytes(8, name) + _bytes(9, struct.pack(f"<{len(values)}f", *values))


def _node(op: str, inputs: list[str], output: str) -> bytes:
    return b"".join(_bytes(1, name) for name in inputs) + _bytes(2, output) + _bytes(4, op)


def _value(name: str, dims: tuple[int | str, ...]) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, dim) if isinstance(dim, str) else _number(1, dim)) for dim in dims)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, shape)))


def onnx_of_means(input_shape: tuple[int, int], weights: list[float], biases: list[float]) -> bytes:
    """Return a model of logits = weights * mean(input) + biases, for inputs of shape (N, 1, *input_shape)."""
    graph = b"".join(
        [
            _bytes(1, _node("GlobalAveragePool", ["x"], "mean")),
            _bytes(1, _node("Flatten", ["mean"], "flat")),
            _bytes(1, _node("Gemm", ["flat", "w", "b"], "logits")),
            _bytes(2, "tiny"),
            _bytes(5, _tensor("w", (1, len(weights)), weights)),
            _bytes(5, _tensor("b", (len(biases),), biases)),
            _bytes(11, _value("x", ("n", 1, *input_shape))),
            _bytes(12, _value("logits", ("n", len(weights)))),
        ]
    )
    opset = _bytes(1, "") + _number(2, 13)
    return _number(1, 7) + _bytes(7, graph) + _bytes(8, opset)


def _output(name: str, labels: tuple[str, ...]) -> dict[str, object]:
    bias = [0.0] * len(labels)
    return {"name": name, "labels": labels, "temperature": 1.0, "bias": bias, "ece": 0.0, "ece_split": "none"}


def _entry(folder: Path, task: str, content: bytes, outputs: list[dict[str, object]]) -> dict[str, object]:
    path = folder / f"{task}.onnx"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    about = {"name": f"{task}-tiny", "task": task, "version": "1", "file": path.name, "sha256": digest}
    size = {"bytes": len(content), "parameters": 0, "macs": 0}
    return about | size | {"input": "gray48" if task == "face" else "logmel64", "outputs": outputs}


def write_models(folder: Path) -> Path:
    """Write both models and their manifest into `folder`; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    happy, sad = EMOTIONS.index("happy"), EMOTIONS.index("sad")
    face_weights, face_biases = [0.0] * 14, [0.0] * 14
    face_weights[happy], face_weights[sad], face_biases[sad] = 6.0, -6.0, 3.0
    angry, calm = SPEECH_EMOTIONS.index("angry"), SPEECH_EMOTIONS.index("calm")
    tone_weights, tone_biases = [0.0] * 8, [0.0] * 8
    tone_weights[angry], tone_weights[calm] = 1.0, -1.0
    face = onnx_of_means((48, 48), face_weights, face_biases)
    speech = onnx_of_means((186, 64), tone_weights, tone_biases)
    models = [
        _entry(folder, "face", face, [_output("ferplus", EMOTIONS), _output("fer2013", EMOTIONS)]),
        _entry(folder, "speech", speech, [_output("ravdess", SPEECH_EMOTIONS)]),
    ]
    manifest = {"schema": "mien.models/1", "models": models, "fusion_weights": {"face": 1.0, "speech": 1.0}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
