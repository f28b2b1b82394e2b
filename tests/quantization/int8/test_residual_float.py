"""A residual addition whose convolutions go back to float one by one: every choice of layers gives a graph."""

from itertools import combinations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sji_edge.quantization.int8.qdq_nodes import scheme_for
from sji_edge.quantization.int8.quantizer import Quantizer
from sji_edge.runtime.host_cpu import saturates_int8

SIDE = 8


def residual_model() -> onnx.ModelProto:
    """``x → first → (left → left2, right) → Add → head``: both branches of the addition end in a convolution."""
    rng = np.random.default_rng(0)
    constants = {name: rng.normal(size=(4, 4, 1, 1)) for name in ("left_w", "left2_w", "right_w")}
    constants |= {
        "first_w": rng.normal(size=(4, 1, 1, 1)),
        "head_w": rng.normal(size=(2, 4)),
        "head_b": np.zeros(2),
    }
    constants |= {name: rng.normal(size=4) for name in ("first_b", "left_b", "left2_b", "right_b")}
    constants |= {"scale": np.array(1 / 255)}

    def conv(name: str, source: str) -> onnx.NodeProto:
        return helper.make_node("Conv", [source, f"{name}_w", f"{name}_b"], [f"{name}_y"], name=name)

    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "scale"], ["scaled"], name="mul"),
        helper.make_node("Transpose", ["scaled"], ["planes"], name="transpose", perm=[0, 3, 1, 2]),
        conv("first", "planes"),
        helper.make_node("Relu", ["first_y"], ["active"], name="relu"),
        conv("left", "active"),
        conv("left2", "left_y"),
        conv("right", "active"),
        helper.make_node("Add", ["left2_y", "right_y"], ["sum"], name="add"),
        helper.make_node("GlobalAveragePool", ["sum"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "head_w", "head_b"], ["logits"], name="head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("backend", ["tensorrt", "openvino"])
def test_any_layers_may_stay_in_float(backend: str) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (16, SIDE, SIDE, 1), dtype=np.uint8)
    model = residual_model()
    quantizer = Quantizer(model, crops, scheme_for(backend, 7 if saturates_int8() else 8), "minmax")
    layers = quantizer.layers()
    wanted = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"crops": crops}
    )[0]
    for count in range(len(layers) + 1):
        for kept in combinations(layers, count):
            data = quantizer.quantize(kept).SerializeToString()
            session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            error = np.abs(session.run(None, {"crops": crops})[0] - wanted).max()
            assert error < 0.1 * np.abs(wanted).max(), kept
