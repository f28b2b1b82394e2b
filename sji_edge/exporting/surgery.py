"""Folds the input's normalization into the first convolution, as far as that is exact.

Dividing by a constant and then convolving equals convolving with a divided kernel, even with padding: zeros stay zeros.
The mean is not folded: the convolution pads with zeros *after* the subtraction, which correspond to mean-grey pixels
before it, and a bias does not know where the image's edge is.
"""

from collections import Counter

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


def fold_input_scale(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph without the division (or multiplication) in front of its first convolution.

    Args:
        model: a graph whose input is scaled by a constant, for all channels or for each, and then read only by one
            ungrouped convolution; any other graph is returned unchanged.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(output.name for output in graph.output)
    convolution = next((node for node in graph.node if node.op_type == "Conv"), None)
    if convolution is None or convolution.input[1] not in constants:
        return result
    scaling = next((node for node in graph.node if node.output[0] == convolution.input[0]), None)
    if scaling is None or scaling.op_type not in ("Div", "Mul") or scaling.input[1] not in constants:
        return result
    kernel = constants[convolution.input[1]]
    factor = numpy_helper.to_array(constants[scaling.input[1]]).astype(np.float64)
    if scaling.op_type == "Div":
        factor = 1.0 / factor
    shape = _by_channel(factor, kernel.dims[1])
    shared = readers[scaling.output[0]] != 1 or readers[kernel.name] != 1
    if shape is None or shared or _groups(convolution) != 1:
        return result
    scaled = numpy_helper.to_array(kernel).astype(np.float64) * factor.reshape(shape)
    kernel.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), kernel.name))
    convolution.input[0] = scaling.input[0]
    graph.node.remove(scaling)
    if readers[scaling.input[1]] == 1:
        graph.initializer.remove(constants[scaling.input[1]])
    return result


def _by_channel(factor: NDArray[np.float64], channels: int) -> tuple[int, ...] | None:
    """Return the shape that aligns a factor with a kernel's input channels, or None if it varies in another way."""
    if factor.size == 1:
        return (1, 1, 1, 1)
    if factor.size == channels and factor.ndim >= 3 and factor.shape[-3:] == (channels, 1, 1):
        return (1, channels, 1, 1)
    return None


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
