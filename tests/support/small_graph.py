"""A small real network of the shape that INT8 finds hard: stem, ReLU6, depthwise, ReLU, pointwise."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 16
RNG = np.random.default_rng(11)
# Channels of the stem differ in range by a factor of a thousand.
SPREAD = np.logspace(-2, 1, 6).astype(np.float32)
WEIGHTS = {
    "mean": np.float32(127.0),
    "std": np.float32(64.0),
    "stem": (RNG.normal(size=(6, 1, 3, 3)) * SPREAD[:, None, None, None] / 3).astype(np.float32),
    "stem_bias": (RNG.normal(size=6) * SPREAD / 5).astype(np.float32),
    "deep": (RNG.normal(size=(6, 1, 3, 3)) / SPREAD[:, None, None, None]).astype(np.float32),
    "deep_bias": RNG.normal(size=6).astype(np.float32),
    "point": RNG.normal(size=(8, 6, 1, 1)).astype(np.float32),
    "point_bias": RNG.normal(size=8).astype(np.float32),
    "head": RNG.normal(size=(2, 8)).astype(np.float32),
    "head_bias": np.array([0.1, -0.1], np.float32),
    "zero": np.float32(0.0),
    "six": np.float32(6.0),
}


def model(clip: bool = True) -> onnx.ModelProto:
    """Return the network; ``clip`` False puts a ReLU in the place of the ReLU6."""
    squash = (
        helper.make_node("Clip", ["s", "zero", "six"], ["sa"])
        if clip
        else helper.make_node("Relu", ["s"], ["sa"])
    )
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "stem", "stem_bias"], ["s"], name="stem", pads=[1, 1, 1, 1]),
        squash,
        helper.make_node("Conv", ["sa", "deep", "deep_bias"], ["d"], name="deep", pads=[1, 1, 1, 1], group=6),
        helper.make_node("Relu", ["d"], ["da"]),
        helper.make_node("Conv", ["da", "point", "point_bias"], ["p"], name="point"),
        helper.make_node("GlobalAveragePool", ["p"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head", "head_bias"], ["logits"], name="head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in WEIGHTS.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(proto)
    return proto


def crops(n: int, seed: int = 0) -> np.ndarray:
    """Textured crops, uint8 ``(n, SIDE, SIDE, 1)``."""
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 1), dtype=np.uint8)
