"""Decides where a graph is quantized: which tensors become integers, for which readers, and which share a scale.

Integer kernels exist only for patterns that an engine can fuse. For OpenVINO and TensorRT, the inputs of convolutions
and matrix products are quantized; at a residual addition only the skip branch is (so that convolution, addition and
activation fuse); and the inputs of a concatenation or a max pooling get the scale of its output, so that both move
integers. ONNX Runtime's CPU kernels need integers on both sides: the tensor after each convolution and its activation
is quantized for all its readers.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import numpy_helper

from sji_edge.runtime.onnx_graph import OUTPUT_NAME

WEIGHTED = ("Conv", "Gemm", "MatMul")
CARRIERS = ("MaxPool", "Concat")
"""Operators that pass integers on unchanged if inputs and output share a scale."""


@dataclass(frozen=True)
class QuantizedTensors:
    """What to quantize.

    Attributes:
        readers: names of the nodes that read a tensor's integers, by tensor.
        shared: tensors that share one range, by tensor (including itself).
        positive: tensors that are never negative because of the operator that produces them.
    """

    readers: Mapping[str, frozenset[str]]
    shared: Mapping[str, frozenset[str]]
    positive: frozenset[str]


def quantized_tensors(
    model: onnx.ModelProto, keep_float: Collection[str] = (), *, both_sides: bool = False
) -> QuantizedTensors:
    """Find the tensors to quantize.

    Args:
        model: the float graph; every node has a name.
        keep_float: names of the nodes that stay in float.
        both_sides: quantize both sides of a layer (ONNX Runtime).
    """
    graph = _Graph(model, keep_float)
    readers: dict[str, set[str]] = defaultdict(set)
    for node in model.graph.node:
        for tensor in graph.integers_into(node, both_sides):
            readers[tensor].add(node.name)
        if both_sides and graph.quantized(node) and node.op_type in ("Conv", "Add"):
            tensor = graph.behind(node)
            readers[tensor].update(reader.name for reader in graph.readers[tensor])
    shared: dict[str, set[str]] = {tensor: {tensor} for tensor in readers}
    # From the end of the graph, because a carrier depends on the carriers after it.
    for node in reversed(model.graph.node):
        if node.op_type not in CARRIERS or node.output[0] not in readers:
            continue
        group = shared[node.output[0]]
        for tensor in graph.carried(node):
            readers[tensor].add(node.name)
            group |= shared.get(tensor, {tensor})
        for tensor in group:
            shared[tensor] = group
    return QuantizedTensors(
        {tensor: frozenset(names) for tensor, names in readers.items() if names},
        {tensor: frozenset(group) for tensor, group in shared.items()},
        graph.positive(),
    )


def last_layer(model: onnx.ModelProto) -> frozenset[str]:
    """Return the name of the linear layer that makes the logits; none if it is the only layer.

    It stays in float: it is a few dot products, and OpenVINO's integer kernel takes 25 times as long for them (83 µs of
    the 413 µs that a lone crop took in INT8).
    """
    layers = [node for node in model.graph.node if node.op_type in WEIGHTED]
    return frozenset(
        node.name
        for node in layers
        if len(layers) > 1 and node.op_type != "Conv" and OUTPUT_NAME in node.output
    )


class _Graph:
    """A graph's edges, in both directions."""

    def __init__(self, model: onnx.ModelProto, keep_float: Collection[str]) -> None:
        self.nodes = list(model.graph.node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.outputs = {output.name for output in model.graph.output}
        self.keep_float = frozenset(keep_float)
        self.maker = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)

    def quantized(self, node: onnx.NodeProto | None) -> bool:
        """Return whether a node computes with integers."""
        if node is None or node.name in self.keep_float:
            return False
        if node.op_type == "Add":
            return all(name not in self.constants for name in node.input) and any(
                self.quantized(self.maker.get(name)) for name in node.input
            )
        return node.op_type in WEIGHTED and node.input[1] in self.constants

    def integers_into(self, node: onnx.NodeProto, both_sides: bool) -> Iterator[str]:
        """Yield the tensors whose integers a node reads."""
        if not self.quantized(node):
            return
        if node.op_type != "Add":
            yield node.input[0]
        elif both_sides:
            yield from node.input
        else:
            fused = self._fused_branch(node)
            yield from (name for name in node.input if name != fused)

    def behind(self, node: onnx.NodeProto) -> str:
        """Return the tensor after a node and the activation that fuses with it."""
        following = self.readers[node.output[0]]
        if len(following) == 1 and following[0].op_type in ("Relu", "Clip"):
            return str(following[0].output[0])
        return str(node.output[0])

    def carried(self, node: onnx.NodeProto) -> list[str]:
        """Return the tensors that a carrier passes on."""
        return list(node.input) if node.op_type == "Concat" else [node.input[0]]

    def positive(self) -> frozenset[str]:
        """Return the tensors that an activation keeps at 0 or above."""
        found: set[str] = set()
        for node in self.nodes:
            clips = node.op_type == "Clip" and self._clips_from_zero(node)
            hands_on = node.op_type in CARRIERS and all(name in found for name in self.carried(node))
            if node.op_type == "Relu" or clips or hands_on:
                found.update(node.output)
        return frozenset(found)

    def _clips_from_zero(self, node: onnx.NodeProto) -> bool:
        low = self.constants.get(node.input[1]) if len(node.input) > 1 else None
        return low is not None and float(numpy_helper.to_array(low)) >= 0.0

    def _fused_branch(self, node: onnx.NodeProto) -> str | None:
        """Return the input of an addition that comes directly from a convolution; if both do, the later one.

        A convolution that stays in float counts too: which tensor is left out, and so has no range, must not depend
        on the layers that are kept in float.
        """
        straight = [
            name
            for name in node.input
            if name in self.maker
            and self.maker[name].op_type == "Conv"
            and self.maker[name].input[1] in self.constants
            and len(self.readers[name]) == 1
        ]
        order = {name: place for place, other in enumerate(self.nodes) for name in other.output}
        return max(straight, key=order.__getitem__, default=None)
