"""A real graph that fails while it runs: at every batch whose brightest sample is 255."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 16
WIDTH, LAYERS = 1024, 12
"""Layers that pass their input on: work that continues while another part of the batch has failed already."""


def write_breaking_graph(path: Path) -> Path:
    """Logits of ``(-mean, mean)``, unless rows of three are requested, into which two per crop do not fit."""
    constants = {
        "all": np.array([0, 1, 2, 3]),
        "crop": np.array([1, 2, 3]),
        "last": np.array([1]),
        "limit": np.float32(255),
        "two": np.array([2]),
        "any": np.array([-1]),
        "pairs": np.array([-1, 2]),
        "signs": np.array([[-1, 1]], np.float32),
        "widen": np.eye(2, WIDTH, dtype=np.float32),
        "pass": np.eye(WIDTH, dtype=np.float32),
        "narrow": np.eye(WIDTH, 2, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["wide", "all"], ["brightest"], keepdims=0),
        helper.make_node("Equal", ["brightest", "limit"], ["too_bright"]),
        helper.make_node("Cast", ["too_bright"], ["more"], to=TensorProto.INT64),
        helper.make_node("Add", ["two", "more"], ["columns"]),
        helper.make_node("Concat", ["any", "columns"], ["shape"], axis=0),
        helper.make_node("ReduceMean", ["wide", "crop"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("Mul", ["column", "signs"], ["pair"]),
        helper.make_node("Reshape", ["pair", "shape"], ["odd"]),
        helper.make_node("Reshape", ["odd", "pairs"], ["even"]),
        helper.make_node("MatMul", ["even", "widen"], ["layer0"]),
        *(
            helper.make_node("MatMul", [f"layer{number}", "pass"], [f"layer{number + 1}"])
            for number in range(LAYERS)
        ),
        helper.make_node("MatMul", [f"layer{LAYERS}", "narrow"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "breaking",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
