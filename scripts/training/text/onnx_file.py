"""The text net as one ONNX file: weights in 8 bits, the tokenizer and the rule of decision in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.quantise import OPSET, anonymise, quiet
from training.text.net import TextNet

ROUNDED_FROM = 10_000
"""Values of a tensor worth 8 bits: kernels and the vocabulary, not biases."""


def write_text_onnx(net: TextNet, path: Path) -> None:
    """Write `net`: inputs `pieces` (batch, T) int64 and `mask` (batch, T) float32, output `logits` (batch, 7).

    Kernels are stored as int8 with a scale per row and computed with in single precision: a fourth of the file, and no
    activation is rounded.
    """
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    with quiet():
        torch.onnx.export(
            net.eval(),
            (torch.ones(2, 7, dtype=torch.int64), torch.ones(2, 7)),
            str(path),
            input_names=["pieces", "mask"],
            output_names=["logits"],
            dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
        )
    import onnx

    model = onnx.load(str(path))
    anonymise(model.graph, model)
    _round(model.graph)
    onnx.save(model, str(path))


def set_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Put `metadata` into the file in place of what is there, so that net and tokenizer cannot come apart."""
    import onnx

    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, str(path))


def _round(graph: Any) -> None:
    """Store each large tensor as int8; onnxruntime multiplies the scale back once, when it loads the file."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, scales = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < ROUNDED_FROM:
            continue
        name = tensor.name
        scale = np.maximum(np.abs(values).max(axis=-1, keepdims=True), 1e-12) / 127.0
        tensor.CopyFrom(numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{name}_int8"))
        scales.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
        nodes.append(helper.make_node("Cast", [f"{name}_int8"], [f"{name}_cast"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name]))
    graph.initializer.extend(scales)
    before = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *before])
