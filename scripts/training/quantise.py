"""From PyTorch to files: int8 TFLite for the device, ONNX for the cloud."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.nets import Consensus

OPSET = 18
WEIGHTS = "weights"
HALVED_FROM = 1000
"""Values of a tensor worth halving: kernels, not biases."""


def write_int8(net: nn.Module, examples: NDArray[np.float32], limits: tuple[float, float], path: Path) -> None:
    """Write `net` as a TFLite file with int8 weights, activations, input and output, for one example at a time.

    `examples`, (N, C, H, W), are real training inputs; the ranges of all activations are measured on them. The input
    covers exactly `limits`.
    """
    with quiet(), tempfile.TemporaryDirectory() as folder:
        import litert_torch
        from ai_edge_quantizer import quantizer, recipe

        plain = Path(folder) / "float.tflite"
        litert_torch.convert(net.eval(), (torch.from_numpy(examples[:1]),)).export(str(plain))
        work = quantizer.Quantizer(str(plain), recipe.static_wi8_ai8())
        work.quantize(_ranges(work, plain, examples, limits)).export_model(str(path), overwrite=True)
    path.chmod(0o644)  # the quantiser marks its files executable


def write_onnx(net: nn.Module, shape: tuple[int, int, int], path: Path) -> None:
    """Write `net` as one ONNX file: input `input` (batch, C, H, W), output `logits` (batch, logits), both float32.

    Weights are stored in half precision, which halves the file, and computed with in single. A `Consensus` has a second
    input, `weights` (looks,), float32, which may be left out: see `Consensus.forward`.
    """
    examples, names, shapes = [torch.zeros(2, *shape)], ["input"], [{0: torch.export.Dim("batch")}]
    if isinstance(net, Consensus):
        looks = 2 * len(net.nets)  # with one for each net the exporter would take it for a constant
        examples.append(torch.full((looks,), 1 / looks))
        names.append(WEIGHTS)
        shapes.append({0: torch.export.Dim("looks", min=len(net.nets), max=net.looks)})
    with quiet():
        torch.onnx.export(
            net.eval(),
            tuple(examples),
            str(path),
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=tuple(shapes),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
        )
    import onnx

    model = onnx.load(str(path))
    anonymise(model.graph, model)
    _halve(model.graph)
    if isinstance(net, Consensus):
        usual = np.full(net.looks, 1 / net.looks, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(usual, WEIGHTS))
    onnx.save(model, str(path))


def _halve(graph: Any) -> None:
    """Store each large tensor as float16, with a cast behind it that onnxruntime does once, when it loads the file."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= HALVED_FROM:
            name, stored = tensor.name, f"{tensor.name}_half"
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
            casts.append(helper.make_node("Cast", [stored], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])


def anonymise(graph: Any, model: Any) -> None:
    """Take out the stack traces that torch notes at each node, with the folders of whoever exported it."""
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]


def _ranges(work: Any, plain: Path, examples: NDArray[np.float32], limits: tuple[float, float]) -> dict[str, Any]:
    """Return the smallest and largest value of every tensor over all examples, as the quantiser `work` wants them.

    Fed all at once, the quantiser would keep a moving average of each example's range and clip whatever is louder: the
    logits were off by 0.19 of their deviation in the speech net, against 0.03 so.
    """
    signature, argument = _signature(plain)
    seen = [work.calibrate({signature: [{argument: example[np.newaxis]}]}, num_threads=1) for example in examples]
    merged = {
        name: {
            "min": np.min([one[name]["min"] for one in seen], axis=0),
            "max": np.max([one[name]["max"] for one in seen], axis=0),
        }
        for name in seen[0]
    }
    (source,) = (name for name in merged if name.endswith(f"_{argument}"))
    for end, limit in zip(("min", "max"), limits, strict=True):
        merged[source][end] = np.full_like(merged[source][end], limit)
    return merged


def _signature(path: Path) -> tuple[str, str]:
    from ai_edge_litert.interpreter import Interpreter

    ((name, tensors),) = Interpreter(model_path=str(path)).get_signature_list().items()
    return name, tensors["inputs"][0]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the converters' progress lines, which they print however they are called; errors still raise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("torch").setLevel(logging.ERROR)
    nowhere = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        yield
