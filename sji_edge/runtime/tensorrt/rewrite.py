"""Rewrites graphs for Turing cards, for which TensorRT for RTX has no FP32 matrix product."""

from pathlib import Path
from typing import Any

from sji_edge.core.extras import load

LAST_AXIS = "sji_edge_last_axis"


def without_gemm(graph: Path, target: Path) -> Path:
    """Write a graph with 1x1 convolutions in place of matrix products, which computes the same; returns ``target``.

    TensorRT for RTX 1.7 builds FP32 convolutions for compute capability 7.5, but no FP32 matrix product. Two forms are
    rewritten: a classifier's head, which is a ``Gemm`` with ``Y = X W^T + B``, and a guard's ``MatMul`` of cells,
    ``(n, cells, channels)`` or ``(n, h, w, channels)``, with constants. Any other stays, and the build fails on it.

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
    ranks = _ranks(onnx, model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[Any] = []
    for node in model.graph.node:
        if _is_head(onnx, node):
            nodes.extend(_as_convolution(onnx, node, axes.name))
        elif _is_product_of_cells(onnx, node, ranks, constants):
            kernel = onnx.numpy_helper.to_array(constants[node.input[1]]).T[:, :, None, None].copy()
            model.graph.initializer.append(onnx.numpy_helper.from_array(kernel, f"{node.output[0]}_kernel"))
            nodes.extend(_cells_as_convolution(onnx, node, ranks[node.input[0]]))
        else:
            nodes.append(node)
    if len(nodes) != len(model.graph.node):
        model.graph.initializer.append(axes)
        model.graph.initializer.append(onnx.helper.make_tensor(LAST_AXIS, onnx.TensorProto.INT64, [1], [3]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, target)
    return target


def _ranks(onnx: Any, model: Any) -> dict[str, int]:
    """Return the number of dimensions of each tensor that shape inference knows."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    return {value.name: len(value.type.tensor_type.shape.dim) for value in values}


def _is_product_of_cells(onnx: Any, node: Any, ranks: dict[str, int], constants: dict[str, Any]) -> bool:
    if node.op_type != "MatMul" or node.domain or ranks.get(node.input[0]) not in (3, 4):
        return False
    weights = constants.get(node.input[1])
    return weights is not None and len(weights.dims) == 2 and weights.data_type == onnx.TensorProto.FLOAT


def _cells_as_convolution(onnx: Any, node: Any, rank: int) -> list[Any]:
    make = onnx.helper.make_node
    name, values, result = node.name or node.output[0], node.input[0], node.output[0]
    planes, kernel, products = f"{result}_planes", f"{result}_kernel", f"{result}_products"
    convolution = make("Conv", [planes, kernel], [products], name=name, kernel_shape=[1, 1])
    if rank == 4:
        return [
            make("Transpose", [values], [planes], name=f"{name}_planes", perm=[0, 3, 1, 2]),
            convolution,
            make("Transpose", [products], [result], name=f"{name}_cells", perm=[0, 2, 3, 1]),
        ]
    column, cells = f"{result}_column", f"{result}_cells"
    return [
        make("Unsqueeze", [values, LAST_AXIS], [column], name=f"{name}_column"),
        make("Transpose", [column], [planes], name=f"{name}_planes", perm=[0, 2, 1, 3]),
        convolution,
        make("Transpose", [products], [cells], name=f"{name}_cells", perm=[0, 2, 1, 3]),
        make("Squeeze", [cells, LAST_AXIS], [result], name=f"{name}_squeezed"),
    ]


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
