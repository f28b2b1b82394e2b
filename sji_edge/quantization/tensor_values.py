"""Reads any tensor's values inside a graph, on given crops."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from sji_edge.runtime.guard_nodes import guard_nodes
from sji_edge.runtime.onnx_graph import INPUT_NAME, OUTPUT_NAME

BATCH = 32
HELD_OUT_EVERY = 4
"""Every fourth calibration crop is held out of the ranges; layers and methods are judged on these."""


def held_out(count: int) -> NDArray[np.bool_]:
    """Return which of ``count`` calibration crops are held out of the ranges, bool ``(count,)``."""
    kept: NDArray[np.bool_] = np.arange(count) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return kept


def tensors_on(
    model: onnx.ModelProto, names: Sequence[str], crops: NDArray[np.uint8]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield the named tensors batch by batch, computed exactly as the graph says.

    Graph optimization is off, because fused integer kernels give other numbers than the Q/DQ nodes on some CPUs, and
    these values are the reference for what the nodes mean.

    Args:
        model: a graph of ``export``, or one quantized from it.
        names: tensors of the graph.
        crops: uint8 ``(n, height, width, channels)``.
    """
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    present = {output.name for output in probed.graph.output}
    probed.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in present
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for start in range(0, len(crops), BATCH):
        values = session.run(list(names), {INPUT_NAME: crops[start : start + BATCH]})
        yield dict(zip(names, values, strict=True))


def features_on(model: onnx.ModelProto, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the input of the classifier's last layer, float32 ``(n, features)``."""
    guard = {node.output[0] for node in guard_nodes(model.graph)}
    last = next(
        node
        for node in reversed(model.graph.node)
        if node.op_type in ("Gemm", "MatMul", "Conv") and node.output[0] not in guard
    )
    name = last.input[0]
    return np.concatenate(
        [values[name].reshape(len(values[name]), -1) for values in tensors_on(model, [name], crops)]
    )


def logits_on(model: onnx.ModelProto, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a graph's logits, float32 ``(n, classes)``, from ONNX Runtime's optimized kernels: fast, not exact."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.concatenate(
        [
            session.run([OUTPUT_NAME], {INPUT_NAME: crops[start : start + BATCH]})[0]
            for start in range(0, len(crops), BATCH)
        ]
    )
