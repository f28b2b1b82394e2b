"""Rewrites graphs for Turing cards, for which TensorRT for RTX has no FP32 matrix product."""

from pathlib import Path
from typing import Any

from sji_edge.core.extras import load


def without_gemm(graph: Path, target: Path) -> Path:
    """Write a graph with 1x1 convolutions in place of ``Gemm`` nodes, which computes the same; returns ``target``.

    TensorRT for RTX 1.7 builds FP32 convolutions for compute capability 7.5, but no FP32 ``Gemm``. Only the form that a
    classifier's head uses is rewritten: ``Y = X W^T + B``. Any other ``Gemm`` stays, and the build fails on it.

    Args:
        graph: an ONNX file.
        target: file for the rewritten graph.

    Raises:
        MissingExtraError: ``onnx`` is not installed.
    """
    onnx: Any = load("onnx", "an engine for compute capability 7.5")
    # Weights in other files are not loaded; TensorRT's parser refuses them.
    model = onnx.load(graph, load_external_data=False)
    axes = onnx.helper.make_tensor("sji_edge_space_axes", onnx.TensorProto.INT64, [2], [2, 3])
    nodes: list[Any] = []
    for node in model.graph.node:
        nodes.extend(_as_convolution(onnx, node, axes.name) if _is_head(onnx, node) else [node])
    if len(nodes) != len(model.graph.node):
        model.graph.initializer.append(axes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, target)
    return target


def _is_head(onnx: Any, node: Any) -> bool:
    if node.op_type != "Gemm" or node.domain or len(node.input) != 3:
        return False
    values = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    usual = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
    return {**usual, **values} == {**usual, "transB": 1}


def _as_convolution(onnx: Any, node: Any, axes: str) -> list[Any]:
    make = onnx.helper.make_node
    values, weights, bias = node.input
    name, result = node.name or node.output[0], node.output[0]
    return [
        make("Unsqueeze", [values, axes], [f"{result}_values_4d"], name=f"{name}_values"),
        make("Unsqueeze", [weights, axes], [f"{result}_weights_4d"], name=f"{name}_weights"),
        make(
            "Conv",
            [f"{result}_values_4d", f"{result}_weights_4d", bias],
            [f"{result}_4d"],
            name=name,
            kernel_shape=[1, 1],
        ),
        make("Squeeze", [f"{result}_4d", axes], [result], name=f"{name}_logits"),
    ]
