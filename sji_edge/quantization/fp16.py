"""Makes an FP16 graph: every layer in half precision; input, logits and the guard stay as they are."""

import onnx

from sji_edge.core.errors import BundleError
from sji_edge.core.text import one_line
from sji_edge.quantization.guard import split_guard, with_guard


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with FP16 weights and layers; ``model`` is not modified.

    ONNX Runtime's converter clips values that FP16 cannot hold to its range. The nodes are sorted again, because the
    converter appends its casts at the end, and a graph must list each node after its inputs. The guard, whose distances
    are small differences, computes in float32 on the FP16 features.

    Raises:
        BundleError: the graph is not valid afterwards.
    """
    # Part of the base install, but slow to import.
    from onnxruntime.transformers.float16 import convert_float_to_float16

    plain, guard = split_guard(model)
    # As outputs, the tensors that the guard reads are cast back to float32.
    taps = () if guard is None else guard.taps
    logits = len(plain.graph.output)
    plain.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in taps
    )
    half: onnx.ModelProto = convert_float_to_float16(plain, keep_io_types=True)
    del half.graph.output[logits:]
    # The types that were declared for them are those of their FP16 originals.
    for value in [value for value in half.graph.value_info if value.name in taps]:
        half.graph.value_info.remove(value)
    half = with_guard(half, guard)
    _sort(half.graph)
    try:
        onnx.checker.check_model(half)
    except onnx.checker.ValidationError as error:
        raise BundleError(f"the graph cannot be converted to FP16: {one_line(error)}") from error
    return half


def _sort(graph: onnx.GraphProto) -> None:
    """Sort nodes so that each comes after those whose results it takes, otherwise in their old order."""
    known = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input} | {""}
    waiting = list(graph.node)
    ordered: list[onnx.NodeProto] = []
    while waiting:
        later: list[onnx.NodeProto] = []
        for node in waiting:
            if known.issuperset(node.input):
                ordered.append(node)
                known.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise BundleError(f"the graph has a cycle at node {later[0].name}")
        waiting = later
    del graph.node[:]
    graph.node.extend(ordered)
