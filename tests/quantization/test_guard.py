"""The guard of a quantized graph: it stays in float and sees the features of the quantized layers."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.guarded_graph import guard_formula, with_guard
from support.small_graph import crops, model

from sji_edge.quantization.fp16 import to_half
from sji_edge.quantization.guard import split_guard
from sji_edge.quantization.guard import with_guard as put_back
from sji_edge.quantization.int8.qdq_nodes import scheme_for
from sji_edge.quantization.int8.quantizer import Quantizer, Scheme
from sji_edge.quantization.tensor_values import features_on, tensors_on
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.guard_nodes import guard_nodes
from sji_edge.runtime.onnx_graph import GUARD_NAMES

CALIBRATION, HELD_OUT = crops(64), crops(32, seed=1)
SCHEMES = [
    Scheme(symmetric=True, weight_bits=8),
    Scheme(symmetric=True, weight_bits=8, unsigned=True),
    Scheme(symmetric=False, weight_bits=7),
]
TAPS = {"sa": 6, "da": 6, "p": 8}


def guarded(tap="da"):
    return with_guard(model(), tap, TAPS[tap])


def values(graph, *names, batch=HELD_OUT):
    parts = list(tensors_on(graph, names, batch))
    return [np.concatenate([part[name] for part in parts]) for name in names]


def test_the_guards_nodes_are_those_that_the_logits_do_not_need():
    graph = guarded()
    # A branch that neither output needs is no part of the guard.
    graph.graph.node.append(helper.make_node("Relu", ["guard_sizes"], ["unused"]))
    assert [node.output[0] for node in guard_nodes(graph.graph)] == [
        "guard_last_channels",
        "guard_products",
        "guard_sizes",
        "guard_largest",
        "novelty",
        "features",
    ]
    assert guard_nodes(model().graph) == []


def test_a_guard_that_is_taken_off_and_put_back_is_the_same_graph():
    graph = guarded()
    plain, guard = split_guard(graph)
    assert plain == model()
    assert guard is not None
    assert guard.taps == ("da",)
    again = put_back(plain, guard)
    onnx.checker.check_model(again)
    for one, other in zip(
        values(graph, "logits", *GUARD_NAMES), values(again, "logits", *GUARD_NAMES), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert split_guard(model())[1] is None


def test_a_constant_that_changed_meanwhile_stays_the_guards_own():
    graph = guarded()
    next(node for node in graph.graph.node if "novelty" in node.output).output[0] = "before"
    graph.graph.node.append(helper.make_node("Mul", ["before", "std"], ["novelty"]))
    plain, guard = split_guard(graph)
    std = next(tensor for tensor in plain.graph.initializer if tensor.name == "std")
    std.CopyFrom(numpy_helper.from_array(np.float32(1.0), "std"))
    # The features change with the backbone's own constant; the guard's factor does not.
    features, novelty = values(put_back(plain, guard), "da", "novelty")
    np.testing.assert_allclose(novelty, 64.0 * guard_formula(features), rtol=1e-4)


@pytest.mark.parametrize("tap", TAPS)
@pytest.mark.parametrize("scheme", SCHEMES, ids=["int8", "openvino", "onnxruntime"])
def test_int8_leaves_the_guard_in_float(tap, scheme):
    graph = guarded(tap)
    quantizer = Quantizer(graph, CALIBRATION, scheme)
    assert quantizer.layers() == Quantizer(model(), CALIBRATION, scheme).layers()
    quantized = quantizer.quantize()
    kinds = [node.op_type for node in guard_nodes(quantized.graph)]
    assert kinds == ["Transpose", "MatMul", "Abs", "ReduceMax", "ReduceMean", "ReduceMean"]
    constants = {tensor.name: tensor.data_type for tensor in quantized.graph.initializer}
    assert constants["guard_prototypes"] == onnx.TensorProto.FLOAT
    seen = guard_nodes(quantized.graph)[0].input[0]
    features, novelty = values(quantized, seen, "novelty")
    np.testing.assert_allclose(novelty, guard_formula(features), rtol=1e-4)
    exact = values(graph, "novelty")[0]
    assert np.sqrt(np.mean((novelty - exact) ** 2)) < 0.1 * exact.std() + 0.02 * exact.mean()


@pytest.mark.parametrize("tap", TAPS)
def test_equalizing_leaves_what_the_guard_sees(tap):
    graph = guarded(tap)
    quantizer = Quantizer(graph, CALIBRATION, SCHEMES[0])
    before, after = (values(one, tap, "novelty") for one in (graph, quantizer.model))
    np.testing.assert_allclose(after[0], before[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(after[1], before[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tap", TAPS)
def test_fp16_leaves_the_guard_in_float32(tap):
    # Exported graphs declare the types of their tensors, constants included.
    graph = onnx.shape_inference.infer_shapes(guarded(tap))
    graph.graph.value_info.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in graph.graph.initializer
    )
    half = to_half(graph)
    # As TensorRT's parser does, check each declared type against the inferred one.
    onnx.shape_inference.infer_shapes(half, strict_mode=True)
    constants = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert constants["guard_prototypes"] == onnx.TensorProto.FLOAT
    assert constants["point"] == onnx.TensorProto.FLOAT16
    assert [output.name for output in half.graph.output] == ["logits", *GUARD_NAMES]
    features, novelty = values(half, tap, "novelty")
    assert features.dtype == novelty.dtype == np.float32
    np.testing.assert_allclose(novelty, guard_formula(features), rtol=1e-5)
    np.testing.assert_allclose(novelty, values(graph, "novelty")[0], rtol=0.01)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_quantized_guard_runs_on_each_backend(backend, precision, tmp_path):
    graph = guarded()
    # 7 bits: 8-bit products saturate on CPUs without VNNI.
    scheme = scheme_for(backend, 7)
    made = to_half(graph) if precision == "fp16" else Quantizer(graph, CALIBRATION, scheme).quantize()
    onnx.save(made, tmp_path / "model.onnx")
    kind = BACKENDS.get(backend)()
    engine = kind.open(tmp_path / "model.onnx", precision=precision, max_batch=32, threads=1)
    output = engine.infer(HELD_OUT)
    logits, novelty = values(made, "logits", "novelty")
    np.testing.assert_allclose(output.novelty, novelty, rtol=0.02)
    assert np.abs(output.logits - logits).max() < 0.1 * np.abs(logits).max()


def test_the_features_for_coverage_are_those_of_the_classifier():
    graph = guarded()
    np.testing.assert_array_equal(features_on(graph, HELD_OUT), features_on(model(), HELD_OUT))
