"""Takes the guard off a graph and puts it back, so that it stays in float whatever is done to the rest."""

from dataclasses import dataclass

import onnx

from sji_edge.runtime.guard_nodes import guard_nodes
from sji_edge.runtime.onnx_graph import GUARD_NAMES


@dataclass(frozen=True)
class GuardPart:
    """A guard without its graph.

    Attributes:
        nodes: its nodes, in order.
        constants: the constants that they read.
        outputs: novelty and features, as the graph declared them.
        taps: the tensors of the graph that it reads, float32.
    """

    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[onnx.TensorProto, ...]
    outputs: tuple[onnx.ValueInfoProto, ...]
    taps: tuple[str, ...]


def split_guard(model: onnx.ModelProto) -> tuple[onnx.ModelProto, GuardPart | None]:
    """Return the graph without its guard, and the guard; None if there is none. ``model`` is not modified."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    nodes = guard_nodes(model.graph)
    if not nodes:
        return plain, None
    own = {name for node in nodes for name in node.output}
    read = {name for node in nodes for name in node.input if name}
    rest = [node for node in model.graph.node if own.isdisjoint(node.output)]
    made = {name for node in rest for name in node.output}
    del plain.graph.node[:]
    plain.graph.node.extend(rest)
    outputs = tuple(each for each in model.graph.output if each.name in GUARD_NAMES)
    for output in outputs:
        plain.graph.output.remove(output)
    still_read = {name for node in rest for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in still_read]
    del plain.graph.initializer[:]
    plain.graph.initializer.extend(kept)
    # Exported graphs declare the types of constants too.
    values = [value for value in model.graph.value_info if value.name in made | still_read]
    del plain.graph.value_info[:]
    plain.graph.value_info.extend(values)
    constants = tuple(tensor for tensor in model.graph.initializer if tensor.name in read)
    return plain, GuardPart(tuple(nodes), constants, outputs, tuple(sorted(read & made)))


def with_guard(model: onnx.ModelProto, guard: GuardPart | None) -> onnx.ModelProto:
    """Return a graph with a guard put back; it must have the tensors that the guard reads.

    A constant that was changed in ``model`` meanwhile is added again under another name: the guard keeps its own.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if guard is None:
        return result
    present = {tensor.name: tensor for tensor in model.graph.initializer}
    renamed: dict[str, str] = {}
    for tensor in guard.constants:
        if tensor.name in present and present[tensor.name] == tensor:
            continue
        copied = result.graph.initializer.add()
        copied.CopyFrom(tensor)
        if tensor.name in present:
            renamed[tensor.name] = copied.name = f"{tensor.name}_of_guard"
    for node in guard.nodes:
        copied_node = result.graph.node.add()
        copied_node.CopyFrom(node)
        copied_node.input[:] = [renamed.get(name, name) for name in node.input]
    result.graph.output.extend(guard.outputs)
    return result
