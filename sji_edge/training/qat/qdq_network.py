"""A Q/DQ graph as a PyTorch module, so that fine-tuning trains the engine's own graph.

Every QuantizeLinear becomes a fake quantization in the same place, every kernel is rounded to the same integers,
and the trained values are written back into a copy of the graph.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn

from sji_edge.core.errors import UsageError
from sji_edge.training.qat.fake_quant import ActivationGrid, Bias, Kernel
from sji_edge.training.qat.graph_ops import OPERATORS

QUANTIZE, DEQUANTIZE, CONSTANT = "QuantizeLinear", "DequantizeLinear", "Constant"
INTEGER_SUFFIX = "_quantized"
"""Suffix that ONNX Runtime's quantizer gives to a tensor stored as integers."""

LAYERS = ("Conv", "Gemm")
LEVELS = 127
START_MARGIN = 0.45

Array = NDArray[Any]
Values = dict[str, torch.Tensor]
Step = Callable[[Values], tuple[torch.Tensor, ...]]


class QdqNetwork(nn.Module):
    """An exported graph, quantized or not, as a module.

    Args:
        graph: with or without Q/DQ pairs; symmetric kernels, one step per activation tensor.
        floats: the float graph that it was quantized from; gives the kernels before rounding.

    Shapes: crops uint8 ``(n, height, width, channels)`` to logits float ``(n, classes)``.

    Raises:
        UsageError: the graph has an operator that fine-tuning does not support; names it.
    """

    def __init__(self, graph: onnx.ModelProto, floats: onnx.ModelProto) -> None:
        super().__init__()
        self._graph = graph
        self._arrays, self._floats = dict(_constants(graph)), dict(_constants(floats))
        self._decoders = {
            node.output[0]: node
            for node in graph.graph.node
            if node.op_type == DEQUANTIZE and node.input[0] in self._arrays
        }
        # The largest value of a channel has the highest level, whatever the number of bits.
        stored = [self._arrays[node.input[0]] for node in self._decoders.values()]
        kernels = [np.abs(array.astype(np.int64)).max() for array in stored if array.dtype == np.int8]
        self._high = int(max(kernels, default=LEVELS))
        self._input, self._output = graph.graph.input[0].name, graph.graph.output[0].name
        self.kernels, self.biases, self.grids = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self._grid_of_start: dict[tuple[float, int, str], str] = {}
        self._grid_of_step: dict[str, str] = {}
        for node in graph.graph.node:
            if node.op_type in LAYERS:
                self._add_layer(node)
        self._steps = [
            (tuple(node.output), self._step(node))
            for node in graph.graph.node
            if node.op_type != CONSTANT and node.output[0] not in self._decoders
        ]

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Judge crops."""
        values: Values = {self._input: crops}
        for modules in (self.kernels, self.biases):
            values.update((_name(key), module()) for key, module in modules.items())
        for names, step in self._steps:
            values.update(zip(names, step(values), strict=True))
        return values[self._output]

    def to_graph(self) -> onnx.ModelProto:
        """Return a copy of the graph with the trained values."""
        changed: dict[str, Array] = {}
        for name in self._grid_of_step:
            changed[name] = _array(self._grid(name).step)
        for key, kernel in self.kernels.items():
            decoder = self._decoders.get(_name(key))
            # The module computes multiples of the step: dividing gives the integers.
            values = kernel() / kernel.get_buffer("step") if decoder else kernel()
            changed[decoder.input[0] if decoder else _name(key)] = _array(values)
        for node in self._graph.graph.node:
            if node.op_type in LAYERS and len(node.input) > 2 and _key(node.input[2]) in self.biases:
                changed |= self._bias_to_graph(node)
        graph = onnx.ModelProto()
        graph.CopyFrom(self._graph)
        for tensor in graph.graph.initializer:
            if tensor.name in changed:
                before = numpy_helper.to_array(tensor)
                value = changed[tensor.name].reshape(before.shape)
                if np.issubdtype(before.dtype, np.integer):
                    value = np.rint(value)
                tensor.CopyFrom(numpy_helper.from_array(value.astype(before.dtype), tensor.name))
        return graph

    def _add_layer(self, node: onnx.NodeProto) -> None:
        name = node.input[1]
        decoder = self._decoders.get(name)
        if decoder is None and name not in self._arrays:
            return
        if decoder is None:
            kernel = self._arrays[name].astype(np.float32)
            axis = 1 if node.op_type == "Gemm" and not _attributes(node).get("transB", 0) else 0
            step = _step_of_greatest(kernel, axis)
        else:
            levels = self._arrays[decoder.input[0]].astype(np.float32)
            step, axis = self._arrays[decoder.input[1]], _attributes(decoder).get("axis", 1)
            step = _along(step, axis, levels.ndim)
            floats = self._floats.get(decoder.input[0].removesuffix(INTEGER_SUFFIX), levels * step)
            # As close to the float kernel as possible while rounding to the stored integers, which are not always the
            # nearest ones.
            near = np.clip(floats / step, levels - START_MARGIN, levels + START_MARGIN)
            kernel = (near * step).astype(np.float32)
        self.kernels[_key(name)] = Kernel(kernel, step, self._high if decoder else 0)
        if len(node.input) > 2 and node.input[2]:
            unit = np.moveaxis(np.broadcast_to(step * LEVELS, kernel.shape), axis, 0)
            unit = unit.reshape(kernel.shape[axis], -1)[:, 0].copy()
            self.biases[_key(node.input[2])] = Bias(self._stored(node.input[2]), unit)

    def _stored(self, name: str) -> Array:
        """Return a stored tensor's real values."""
        decoder = self._decoders.get(name)
        if decoder is None:
            return self._arrays[name]
        values: Array = self._arrays[decoder.input[0]] * self._arrays[decoder.input[1]]
        return values.astype(np.float32)

    def _bias_to_graph(self, node: onnx.NodeProto) -> dict[str, Array]:
        """Return a bias's values; the step of an integer bias is the input's step times the kernel's."""
        name = node.input[2]
        value = _array(self.biases[_key(name)]())
        decoder = self._decoders.get(name)
        if decoder is None:
            return {name: value}
        source = next(other for other in self._graph.graph.node if node.input[0] in other.output)
        kernel_step = self.kernels[_key(node.input[1])].get_buffer("step")
        step = _array(self._grid(source.input[1]).step * kernel_step).reshape(-1)
        return {decoder.input[0]: value / step, decoder.input[1]: step}

    def _step(self, node: onnx.NodeProto) -> Step:
        if node.op_type == QUANTIZE:
            return self._rounding(node)
        if node.op_type == DEQUANTIZE:
            source = node.input[0]
            return lambda values: (values[source],)
        if node.op_type not in OPERATORS:
            raise UsageError(
                f"fine-tuning does not support the operator {node.op_type} ({node.name})",
                hint="build without fine-tuning; precision auto keeps sensitive layers in float",
            )
        operator, attributes = OPERATORS[node.op_type], _attributes(node)
        for name in node.input:
            if name in self._arrays and _key(name) not in self.kernels and _key(name) not in self.biases:
                self._keep(name)
        names = list(node.input)

        def step(values: Values) -> tuple[torch.Tensor, ...]:
            given = [
                None if not name else values[name] if name in values else self._kept(name) for name in names
            ]
            result = operator(given, attributes)
            return result if isinstance(result, tuple) else (result,)

        return step

    def _rounding(self, node: onnx.NodeProto) -> Step:
        source, step_name, zero_name = node.input
        zero, start = self._arrays[zero_name], float(self._arrays[step_name])
        # Tensors that one operator joins share a step, because their integers are passed on unchanged.
        shared = (start, int(zero), zero.dtype.name)
        key = self._grid_of_start.setdefault(shared, _key(step_name))
        if key not in self.grids:
            limits = np.iinfo(zero.dtype)
            self.grids[key] = ActivationGrid(start, int(zero), limits.min, limits.max)
        self._grid_of_step[step_name] = key
        grid = self.grids[key]
        return lambda values: (grid(values[source]),)

    def _grid(self, step_name: str) -> ActivationGrid:
        return cast("ActivationGrid", self.grids[self._grid_of_step[step_name]])

    def _keep(self, name: str) -> None:
        self.register_buffer(_buffer(name), torch.from_numpy(self._arrays[name].copy()))

    def _kept(self, name: str) -> torch.Tensor:
        return self.get_buffer(_buffer(name))


def _constants(graph: onnx.ModelProto) -> Iterator[tuple[str, Array]]:
    for tensor in graph.graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.graph.node:
        if node.op_type == CONSTANT:
            yield node.output[0], numpy_helper.to_array(_attributes(node)["value"])


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _along(step: Array, axis: int, dimensions: int) -> Array:
    """Reshape steps so that they lie along an axis."""
    return step.reshape([-1 if place == axis else 1 for place in range(dimensions)]) if step.ndim else step


def _step_of_greatest(kernel: Array, axis: int) -> Array:
    """Return the step that puts each channel's largest value on the highest level."""
    others = tuple(place for place in range(kernel.ndim) if place != axis)
    greatest = np.abs(kernel).max(axis=others, keepdims=True)
    step: Array = np.where(greatest > 0, greatest, 1.0).astype(np.float32) / LEVELS
    return step


def _array(value: torch.Tensor) -> Array:
    array: Array = value.detach().cpu().numpy()
    return array


def _key(name: str) -> str:
    """Return a tensor's name as a module key, which must not contain a dot."""
    return name.replace(".", "/")


def _name(key: str) -> str:
    return key.replace("/", ".")


def _buffer(name: str) -> str:
    return f"constant/{_key(name)}"
