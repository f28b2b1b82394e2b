"""Bias correction: removes the mean error that rounding a kernel causes in each output channel.

Rounding the kernel shifts the expected output by (Wq − W) E[x]. The shift is known from the calibration crops and is
subtracted from the bias (Nagel et al. 2019, arXiv 1906.04721, section 4.2).
"""

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from sji_edge.quantization.tensor_values import tensors_on

Array = NDArray[np.float32]


def input_means(model: onnx.ModelProto, crops: NDArray[np.uint8]) -> dict[str, Array]:
    """Return the mean over crops and places of each channel of every Conv and Gemm input, by tensor name."""
    names = sorted({node.input[0] for node in model.graph.node if node.op_type in ("Conv", "Gemm")})
    totals: dict[str, Array] = {}
    for values in tensors_on(model, names, crops):
        for name, value in values.items():
            per_crop = value.mean(axis=(2, 3)) if value.ndim == 4 else value
            totals[name] = totals.get(name, np.float32(0.0)) + per_crop.sum(axis=0)
    return {name: (total / len(crops)).astype(np.float32) for name, total in totals.items()}


def bias_shifts(
    model: onnx.ModelProto, quantized: onnx.ModelProto, means: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the mean error that rounding the kernels causes in each output channel.

    Args:
        model: the float graph.
        quantized: the Q/DQ graph made from it.
        means: ``input_means`` of the float graph.

    Returns:
        float32 ``(channels,)`` by node name, for every node that has a bias and a rounded kernel.
    """
    kernels = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    integers = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer}
    shifts = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
            continue
        levels = integers.get(node.input[1] + "_quantized")
        if levels is None:
            continue
        kernel = kernels[node.input[1]]
        step = integers[node.input[1] + "_scale"].reshape(-1, *([1] * (kernel.ndim - 1)))
        shifts[node.name] = _mean_shift(node, levels.astype(np.float32) * step - kernel, means[node.input[0]])
    return shifts


def with_shifted_biases(
    model: onnx.ModelProto, shifts: Mapping[str, Array], keep: Collection[str]
) -> onnx.ModelProto:
    """Return the float graph with the shifts subtracted from its biases, except for the nodes in ``keep``."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in result.graph.initializer}
    for node in result.graph.node:
        if node.name in shifts and node.name not in keep:
            bias = tensors[node.input[2]]
            corrected = (numpy_helper.to_array(bias) - shifts[node.name]).astype(np.float32)
            bias.CopyFrom(numpy_helper.from_array(corrected, bias.name))
    return result


def _mean_shift(node: onnx.NodeProto, rounding: Array, mean: Array) -> Array:
    """Return the expected output of a kernel's rounding error; image edges, which see padding, count like the rest."""
    if node.op_type == "Gemm":
        shift: Array = rounding @ mean
        return shift
    per_tap = rounding.sum(axis=(2, 3))
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    inputs = mean.reshape(groups, -1)
    outputs = per_tap.reshape(groups, -1, per_tap.shape[1])
    grouped: Array = np.einsum("goi,gi->go", outputs, inputs).reshape(-1)
    return grouped
