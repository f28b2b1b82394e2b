"""Where Q/DQ nodes stand: a residual block and a concatenation, small enough to read off by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.small_graph import crops

from sji_edge.quantization.int8.qdq_nodes import Scheme, scheme_for
from sji_edge.quantization.int8.quantizer import Quantizer
from sji_edge.quantization.int8.tensors import quantized_tensors
from sji_edge.quantization.tensor_values import tensors_on

SIDE = 16
RNG = np.random.default_rng(4)
SCHEMES = {
    "tensorrt": scheme_for("tensorrt", 8),
    "openvino": scheme_for("openvino", 8),
    "onnxruntime": scheme_for("onnxruntime", 8),
}


def conv(name: str, source: str, target: str, inputs: int, outputs: int, weights: dict) -> onnx.NodeProto:
    weights[f"{name}_w"] = (RNG.normal(size=(outputs, inputs, 3, 3)) / np.sqrt(9 * inputs)).astype(np.float32)
    weights[f"{name}_b"] = RNG.normal(size=outputs).astype(np.float32) / 4
    return helper.make_node(
        "Conv", [source, f"{name}_w", f"{name}_b"], [target], name=name, pads=[1, 1, 1, 1]
    )


def network() -> onnx.ModelProto:
    """A stem, a residual block, max pooling, two branches concatenated, a head."""
    weights: dict[str, np.ndarray] = {"scale": np.float32(1 / 255)}
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "scale"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["image"], perm=[0, 3, 1, 2]),
        conv("stem", "image", "stem_out", 1, 4, weights),
        helper.make_node("Relu", ["stem_out"], ["skip"]),
        conv("inner", "skip", "inner_out", 4, 4, weights),
        helper.make_node("Relu", ["inner_out"], ["inner_act"]),
        conv("main", "inner_act", "main_out", 4, 4, weights),
        helper.make_node("Add", ["main_out", "skip"], ["sum"], name="add"),
        helper.make_node("Relu", ["sum"], ["block"]),
        helper.make_node("MaxPool", ["block"], ["pooled"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        conv("left", "pooled", "left_out", 4, 3, weights),
        helper.make_node("Relu", ["left_out"], ["left_act"]),
        conv("right", "pooled", "right_out", 4, 5, weights),
        helper.make_node("Relu", ["right_out"], ["right_act"]),
        helper.make_node("Concat", ["left_act", "right_act"], ["both"], name="concat", axis=1),
        conv("last", "both", "last_out", 8, 6, weights),
        helper.make_node("GlobalAveragePool", ["last_out"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head_w", "head_b"], ["logits"], name="head", transB=1),
    ]
    weights["head_w"] = RNG.normal(size=(2, 6)).astype(np.float32)
    weights["head_b"] = np.zeros(2, np.float32)
    graph = helper.make_graph(
        nodes,
        "blocks",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def joints(n: int, seed: int = 0) -> np.ndarray:
    """Crops of very different contrast and grain, so that the scores spread."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((n, 4, 4, 1)).repeat(4, axis=1).repeat(4, axis=2)
    return (crops(n, seed) * coarse * rng.random((n, 1, 1, 1))).astype(np.uint8)


def trained(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Give the head the direction in which the features of joints spread most, as training would."""
    features = np.concatenate(
        [values["flat"] for values in tensors_on(graph, ["flat"], joints(200, seed=77))]
    )
    centre = features.mean(axis=0)
    direction = np.linalg.svd(features - centre, full_matrices=False)[2][0] / features.std()
    new = {
        "head_w": np.stack([-direction, direction]).astype(np.float32),
        "head_b": np.array([direction @ centre, -direction @ centre], np.float32),
    }
    for tensor in graph.graph.initializer:
        if tensor.name in new:
            tensor.CopyFrom(numpy_helper.from_array(new[tensor.name], tensor.name))
    return graph


NETWORK = trained(network())


def logits(graph: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    return np.concatenate([values["logits"] for values in tensors_on(graph, ["logits"], batch)])


def quantized(scheme: Scheme) -> onnx.ModelProto:
    graph = Quantizer(NETWORK, joints(48), scheme).quantize()
    onnx.checker.check_model(graph)
    return graph


def test_at_a_residual_addition_only_the_skip_branch_is_quantized():
    readers = quantized_tensors(NETWORK).readers
    assert readers["skip"] == {"inner", "add"}
    assert "main_out" not in readers


def test_an_addition_of_two_convolutions_leaves_the_later_one_alone():
    graph = onnx.ModelProto()
    graph.CopyFrom(NETWORK)
    add = next(node for node in graph.graph.node if node.name == "add")
    weights: dict[str, np.ndarray] = {}
    down = conv("down", "skip", "down_out", 4, 4, weights)
    graph.graph.node.insert(5, down)
    graph.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    add.input[1] = "down_out"
    readers = quantized_tensors(graph).readers
    assert readers["down_out"] == {"add"}
    assert "main_out" not in readers


def test_concatenation_and_pooling_move_integers_of_one_scale():
    where = quantized_tensors(NETWORK)
    assert where.shared["both"] == {"both", "left_act", "right_act"}
    assert where.readers["left_act"] == where.readers["right_act"] == {"concat"}
    assert where.shared["pooled"] == {"pooled", "block"}
    stored = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in quantized(SCHEMES["openvino"]).graph.initializer
    }
    assert stored["both_scale"] == stored["left_act_scale"] == stored["right_act_scale"]
    assert stored["pooled_scale"] == stored["block_scale"]


def test_float_layers_read_no_integers():
    readers = quantized_tensors(NETWORK, ["main", "inner"]).readers
    # With no convolution in integers before it, the addition stays in float, too.
    assert "skip" not in readers
    assert all("main" not in names and "inner" not in names for names in readers.values())


def test_onnx_runtime_gets_integers_on_both_sides():
    readers = quantized_tensors(NETWORK, both_sides=True).readers
    assert {
        "image",
        "skip",
        "inner_act",
        "main_out",
        "block",
        "left_act",
        "right_act",
        "last_out",
        "flat",
    } <= set(readers)


def test_positive_tensors_are_those_that_an_activation_made():
    assert quantized_tensors(NETWORK).positive == {
        "skip",
        "inner_act",
        "block",
        "pooled",
        "left_act",
        "right_act",
        "both",
    }


@pytest.mark.parametrize(
    ("name", "activations", "bias"),
    [("tensorrt", {"int8"}, False), ("openvino", {"int8", "uint8"}, False), ("onnxruntime", {"uint8"}, True)],
)
def test_each_backend_gets_the_integers_that_its_kernels_take(name, activations, bias):
    graph = quantized(SCHEMES[name]).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zeros = [stored[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {str(zero.dtype) for zero in zeros} == activations
    if name != "onnxruntime":
        assert not any(zero.any() for zero in zeros)
    assert any(value.dtype == np.int32 for value in stored.values()) == bias


def test_the_graphs_decide_alike():
    """One set of crops, three graphs: int8, int8 with uint8, uint8 with int32 biases."""
    batch = joints(120, seed=9)
    wanted = logits(NETWORK, batch)
    margin = wanted[:, 1] - wanted[:, 0]
    limit = np.median(margin)
    clear = np.abs(margin - limit) > 0.1 * np.std(margin)
    assert clear.sum() > 90
    for scheme in SCHEMES.values():
        found = logits(quantized(scheme), batch)
        decided = found[:, 1] - found[:, 0] > limit
        np.testing.assert_array_equal(decided[clear], (margin > limit)[clear])
        assert (decided != (margin > limit)).mean() < 0.1


def test_a_bias_too_large_for_32_bits_coarsens_its_weights_instead():
    graph = onnx.ModelProto()
    graph.CopyFrom(NETWORK)
    for tensor in graph.graph.initializer:
        if tensor.name in ("last_w", "last_b"):
            values = numpy_helper.to_array(tensor).copy()
            values[0] = 1e-12 if tensor.name == "last_w" else 3.0
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    made = Quantizer(graph, crops(48), SCHEMES["onnxruntime"]).quantize()
    batch = crops(16, seed=3)
    np.testing.assert_allclose(
        logits(made, batch), logits(graph, batch), atol=0.1 * np.std(logits(graph, batch)) + 0.02
    )
