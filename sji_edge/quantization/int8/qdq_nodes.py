"""Writes Q/DQ nodes into a graph: weights become integers, with their scales beside them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from sji_edge.quantization.int8.ranges import Range
from sji_edge.quantization.int8.rounding import Rounder
from sji_edge.quantization.int8.tensors import WEIGHTED, QuantizedTensors

SMALLEST_SCALE = 1e-10
MAX_INT32_BIAS = 2.0**30
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Scheme:
    """How integers represent real values.

    Attributes:
        symmetric: int8 activations around 0 and float biases (OpenVINO, TensorRT); else uint8 activations and
            int32 biases (ONNX Runtime on a CPU).
        weight_bits: 8, or 7 for CPUs whose 8-bit multiply-add saturates: without VNNI, x86 adds two 8-bit products in
            16 bits, and full-range weights overflow that.
        unsigned: with ``symmetric``: activations that are never negative are uint8, which doubles their levels
            (OpenVINO; TensorRT has no uint8).
    """

    symmetric: bool
    weight_bits: int
    unsigned: bool = False


def scheme_for(backend: str, weight_bits: int) -> Scheme:
    """Return how a backend's kernels represent real values; by default as symmetric int8."""
    return Scheme(symmetric=backend != "onnxruntime", weight_bits=weight_bits, unsigned=backend == "openvino")


def with_integers(
    model: onnx.ModelProto,
    where: QuantizedTensors,
    ranges: Mapping[str, Range],
    scheme: Scheme,
    keep_float: Collection[str] = (),
    rounder: Rounder | None = None,
) -> onnx.ModelProto:
    """Return a graph with Q/DQ nodes.

    Args:
        model: the float graph.
        where: what to quantize; see ``quantized_tensors``.
        ranges: lowest and highest real value, with 0 between them, by tensor; values outside saturate.
        scheme: how integers represent real values.
        keep_float: names of the nodes whose weights stay in float.
        rounder: rounds the weights; None: to the nearest integer.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    writer = _Writer(result.graph, scheme, rounder or Rounder({}))
    made: set[str] = set()
    for original in model.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        for position, tensor in enumerate(original.input):
            if original.name not in where.readers.get(tensor, ()):
                continue
            if tensor not in made:
                made.add(tensor)
                writer.quantize(tensor, *_scale_and_zero(where, ranges, tensor, scheme))
            node.input[position] = f"{tensor}_dequantized"
        if original.op_type in WEIGHTED and original.name not in keep_float:
            writer.weights(node, original.input[0])
        result.graph.node.append(node)
    writer.drop_unread()
    return result


def weight_axis(node: onnx.NodeProto) -> int:
    """Return the axis of a layer's weights that counts output channels."""
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 0 if node.op_type == "Conv" or (node.op_type == "Gemm" and transposed) else 1


def _scale_and_zero(
    where: QuantizedTensors, ranges: Mapping[str, Range], tensor: str, scheme: Scheme
) -> tuple[float, np.generic]:
    group = [ranges[name] for name in where.shared[tensor] if name in ranges]
    low, high = min(low for low, _ in group), max(high for _, high in group)
    if scheme.symmetric and scheme.unsigned and where.shared[tensor] <= where.positive:
        return max(high / 255, SMALLEST_SCALE), np.uint8(0)
    if scheme.symmetric:
        return max(high, -low, 127 * SMALLEST_SCALE) / 127, np.int8(0)
    scale = max((high - low) / 255, SMALLEST_SCALE)
    return scale, np.uint8(np.clip(np.round(-low / scale), 0, 255))


class _Writer:
    """Adds nodes and constants to a graph that is being rebuilt in order."""

    def __init__(self, graph: onnx.GraphProto, scheme: Scheme, rounder: Rounder) -> None:
        self._rounder = rounder
        self._graph = graph
        self._scheme = scheme
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._input_scales: dict[str, float] = {}
        self._done: set[str] = set()

    def quantize(self, tensor: str, scale: float, zero: np.generic) -> None:
        """Add a tensor's Q and DQ nodes; readers of ``TENSOR_dequantized`` get its quantized values."""
        self._input_scales[tensor] = scale
        self._constant(f"{tensor}_scale", np.float32(scale))
        self._constant(f"{tensor}_zero_point", zero)
        parameters = [f"{tensor}_scale", f"{tensor}_zero_point"]
        self._node("QuantizeLinear", [tensor, *parameters], f"{tensor}_quantized")
        self._node("DequantizeLinear", [f"{tensor}_quantized", *parameters], f"{tensor}_dequantized")

    def weights(self, node: onnx.NodeProto, source: str) -> None:
        """Replace a layer's weights by integers, and with asymmetric schemes its bias too."""
        name = node.input[1]
        if name not in self._constants or source not in self._input_scales:
            return
        bias = node.input[2] if len(node.input) > 2 and not self._scheme.symmetric else None
        if name not in self._done:
            self._done.add(name)
            self._write_weights(name, weight_axis(node), bias, self._input_scales[source])
        node.input[1] = f"{name}_dequantized"
        if bias is not None:
            node.input[2] = self._write_bias(bias, name, source)

    def drop_unread(self) -> None:
        """Remove the constants that were replaced by integers."""
        read = {name for node in self._graph.node for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _write_weights(self, name: str, axis: int, bias: str | None, input_scale: float) -> None:
        values = numpy_helper.to_array(self._constants[name]).astype(np.float32)
        levels = 63 if self._scheme.weight_bits == 7 else 127
        others = tuple(other for other in range(values.ndim) if other != axis)
        scale = np.abs(values).max(axis=others) / levels
        scale = np.where(scale > 0.0, scale, 1.0)
        if bias is not None:
            # The bias has the same step and must fit 32 bits.
            reach = np.abs(numpy_helper.to_array(self._constants[bias])).astype(np.float64)
            scale = np.maximum(scale, reach / (input_scale * MAX_INT32_BIAS))
        scale = scale.astype(np.float32)
        integers = self._rounder.integers(name, values, scale, levels, axis)
        self._constant(f"{name}_quantized", integers)
        self._constant(f"{name}_scale", scale)
        self._constant(f"{name}_zero_point", np.zeros(len(scale), np.int8))
        self._dequantize(name, axis)

    def _write_bias(self, bias: str, weight: str, source: str) -> str:
        """Write an int32 bias whose step is the input's times the weights'; returns the dequantized tensor's name."""
        scale = numpy_helper.to_array(self._constants[f"{weight}_scale"]) * np.float32(
            self._input_scales[source]
        )
        name = f"{bias}_of_{source}"
        if name not in self._done:
            self._done.add(name)
            values = numpy_helper.to_array(self._constants[bias]).astype(np.float64)
            self._constant(f"{name}_quantized", np.round(values / scale).astype(np.int32))
            self._constant(f"{name}_scale", scale.astype(np.float32))
            self._constant(f"{name}_zero_point", np.zeros(len(values), np.int32))
            self._dequantize(name, 0)
        return f"{name}_dequantized"

    def _dequantize(self, name: str, axis: int) -> None:
        inputs = [f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"]
        self._node("DequantizeLinear", inputs, f"{name}_dequantized", axis=axis)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._graph.node.append(helper.make_node(kind, inputs, [output], name=f"{output}_node", **attributes))

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> None:
        tensor = numpy_helper.from_array(np.asarray(value), name)
        self._graph.initializer.append(tensor)
        self._constants[name] = tensor
