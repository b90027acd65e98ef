"""The weights of a net that ships, so that it goes on learning where no checkpoint was kept."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.errors import TrainingError
from training.nets import ConvNet, build

SUFFIXES = (".onnx", ".tflite")

MEMBER = re.compile(r"(?:net|nets\.(\d+))\.")
"""What `nets.Ensemble` puts before the names of each net that it holds; before release 0.4.0 there was only one."""

HALF = "_half"
"""What `quantise.write_onnx` puts behind the names of tensors stored in half precision."""

STORED = {2: np.int32, 9: np.int8}
"""TensorType of TFLite's schema -> dtype."""

LAYERS = (nn.Conv2d, nn.Linear)


class Folded(NamedTuple):
    """A layer as most files have it: what normalised it stands in its kernel, (outputs, ...), and bias, (outputs,)."""

    kernel: Tensor
    bias: Tensor


def shipped_nets(task: str, arch: str, path: Path, examples: NDArray[np.float32]) -> list[ConvNet]:
    """Return the nets of `path`, whose answers the file averages; see `take_shipped`, which reads each of them."""
    nets = []
    for number in range(_count(path)):
        nets.append(build(task, arch))
        take_shipped(nets[-1], path, examples, number=number)
    return nets


def take_shipped(net: nn.Module, path: Path, examples: NDArray[np.float32], *, number: int = 0) -> None:
    """Give `net` the weights of `path`, a file that `scripts/train export` made of the same kind of net.

    Of a file that holds several nets, `number` tells which, from 0. They come back as the file has them: rounded to
    half precision in ONNX, to int8 in TFLite. `examples`, (N, C, H, W), are training inputs, on which normalisation is
    measured where the file has none.
    Raises TrainingError if the file cannot be read, or is of another net.
    """
    try:
        tensors = _onnx_tensors(path, number) if path.suffix == ".onnx" else {}
        if any(name.endswith("running_var") for name in tensors):
            _copy(net, tensors, path)
            return
        layers = _onnx_layers(net, tensors) if path.suffix == ".onnx" else _tflite_layers(path)
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    _take_folded(net, layers, path, torch.from_numpy(examples))


def _copy(net: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    # How many batches normalisation has seen is in no file, and matters to nothing.
    wanted = {name: value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    _check(path, [tensors.get(name) for name in wanted], list(wanted.values()))
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(tensors[name])


@torch.no_grad()
def _take_folded(net: nn.Module, found: list[Folded], path: Path, examples: Tensor) -> None:
    layers = [layer for layer in net.modules() if isinstance(layer, LAYERS)]
    _check(path, [each.kernel for each in found], [layer.weight for layer in layers])
    folded: dict[nn.Module, Folded] = dict(zip(layers, found, strict=True))
    for layer in layers:
        layer.weight.copy_(folded[layer].kernel)
        if layer.bias is not None:
            layer.bias.copy_(folded[layer].bias)
    _unfold(net, folded, examples)


def _unfold(net: nn.Module, folded: dict[nn.Module, Folded], examples: Tensor) -> None:
    """Take length and bias of each kernel out of it and into the normalisation behind it, which else undoes itself.

    It must know the mean and variance that its channels really have: in training it goes by those of the batch, and
    would otherwise make another net of it. Kernels of length 1 because their length decides how fast they learn.
    """
    hooks = []
    for convolution, norm in _normalised(net):
        each = folded[convolution]
        length = each.kernel.flatten(1).norm(dim=1).clamp_min(1e-6)
        convolution.weight.div_(length.view(-1, 1, 1, 1))

        def measure(
            _: nn.Module,
            __: Any,
            output: Tensor,
            norm: nn.BatchNorm2d = norm,
            length: Tensor = length,
            bias: Tensor = each.bias,
        ) -> None:
            variance, mean = torch.var_mean(output, dim=(0, 2, 3))
            norm.running_mean, norm.running_var = mean, variance
            norm.weight.copy_(length * (variance + norm.eps).sqrt())
            norm.bias.copy_(length * mean + bias)

        hooks.append(convolution.register_forward_hook(measure))
    net.eval()(examples)  # each layer is measured before the next one sees what comes of it
    for hook in hooks:
        hook.remove()


def _normalised(net: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    pairs = [tuple(layers) for layers in net.modules() if isinstance(layers, nn.Sequential) and len(layers) == 2]
    return [(one, two) for one, two in pairs if isinstance(one, nn.Conv2d) and isinstance(two, nn.BatchNorm2d)]


def _count(path: Path) -> int:
    found = (MEMBER.match(tensor.name) for tensor in _onnx_graph(path).initializer) if path.suffix == ".onnx" else ()
    return 1 + max((int(each[1] or 0) for each in found if each), default=0)


def _onnx_tensors(path: Path, number: int) -> dict[str, Tensor]:
    import onnx

    tensors = {}
    for tensor in _onnx_graph(path).initializer:
        member = MEMBER.match(tensor.name)
        if member is None or int(member[1] or 0) == number:
            name = MEMBER.sub("", tensor.name, count=1).removesuffix(HALF)
            tensors[name] = torch.from_numpy(np.array(onnx.numpy_helper.to_array(tensor), np.float32))
    return tensors


def _onnx_graph(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return onnx.load(str(path)).graph
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    except DecodeError as error:
        raise TrainingError(f"{path} is no ONNX file") from error


def _onnx_layers(net: nn.Module, tensors: dict[str, Tensor]) -> list[Folded]:
    names = [name for name, layer in net.named_modules() if isinstance(layer, LAYERS)]
    found = []
    for name in names:
        kernel, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.weight_bias", tensors.get(f"{name}.bias"))
        if kernel is not None and bias is not None:
            found.append(Folded(kernel, bias))
    return found


def _tflite_layers(path: Path) -> list[Folded]:
    """Return the layers in the order of computing, float32 and in torch's layout."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator
    from ai_edge_litert.tools import flatbuffer_utils

    try:
        model = flatbuffer_utils.read_model(str(path))
        graph = model.subgraphs[0]
        # From (1, height, width, outputs) and (outputs, height, width, inputs), as TFLite keeps them.
        orders: dict[int, tuple[int, ...]] = {
            BuiltinOperator.DEPTHWISE_CONV_2D: (3, 0, 1, 2),
            BuiltinOperator.CONV_2D: (0, 3, 1, 2),
            BuiltinOperator.FULLY_CONNECTED: (0, 1),
        }
        layers = []
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex].builtinCode
            if code in orders:
                kernel, bias = (_values(model, graph.tensors[number]) for number in operator.inputs[1:3])
                layers.append(Folded(torch.tensor(kernel.transpose(orders[code])), torch.tensor(bias)))
    except (struct.error, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} is no TFLite file of a net of ours: {error}") from error
    return layers


def _values(model: Any, tensor: Any) -> NDArray[np.float32]:
    """Return what a constant int8 or int32 tensor stands for, float32, by its scale along the quantised dimension."""
    stored = np.frombuffer(model.buffers[tensor.buffer].data, STORED[tensor.type])
    shape = [1] * len(tensor.shape)
    shape[tensor.quantization.quantizedDimension] = -1
    scale = np.asarray(tensor.quantization.scale, np.float32).reshape(shape)
    return np.asarray(stored.reshape(tensor.shape) * scale, dtype=np.float32)


def _check(path: Path, found: Sequence[Tensor | None], wanted: Sequence[Tensor]) -> None:
    if [None if each is None else each.shape for each in found] != [each.shape for each in wanted]:
        raise TrainingError(f"{path} is of another net: its weights do not fit")
