"""A real graph whose loop never ends."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_endless_graph(path: Path) -> Path:
    """Write a model of 16 x 16 crops and two classes that gives no answer."""
    value, pair = helper.make_tensor_value_info, ["n", 2]
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_out"]), helper.make_node("Identity", ["x"], ["x_out"])],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("on", TensorProto.BOOL, []),
            value("x", TensorProto.FLOAT, pair),
        ],
        [value("on_out", TensorProto.BOOL, []), value("x_out", TensorProto.FLOAT, pair)],
    )
    constants = {"axes": np.array([1, 2, 3]), "one": np.array([1]), "true": np.array(True)}
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Concat", ["column", "column"], ["start"], axis=1),
        helper.make_node("Loop", ["", "true", "start"], ["logits"], body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "endless",
        [value("crops", TensorProto.UINT8, ["n", 16, 16, 1])],
        [value("logits", TensorProto.FLOAT, pair)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path
