import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.small_graph import crops, model

from sji_edge.core.errors import GateError, UsageError
from sji_edge.quantization.int8.bias import bias_shifts, input_means
from sji_edge.quantization.int8.equalize import channel_reach, equalizable_pairs, equalize
from sji_edge.quantization.int8.quantizer import Quantizer, Scheme, layers_by_noise
from sji_edge.quantization.sensitivity import layer_noise
from sji_edge.quantization.tensor_values import tensors_on

CALIBRATION, HELD_OUT = crops(64), crops(32, seed=1)
SCHEMES = [Scheme(symmetric=True, weight_bits=8), Scheme(symmetric=True, weight_bits=7), Scheme(False, 7)]


def logits(graph: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    return np.concatenate([values["logits"] for values in tensors_on(graph, ["logits"], batch)])


def tensors(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


def test_pairs_are_convolutions_with_nothing_but_an_activation_between():
    pairs = equalizable_pairs(model())
    assert [(pair.producer.name, pair.consumer.name, pair.clip) for pair in pairs] == [
        ("stem", "deep", 6.0),
        ("deep", "point", None),
    ]


def test_a_tensor_with_a_second_reader_is_no_pair():
    graph = model()
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info("sa"))
    assert [pair.producer.name for pair in equalizable_pairs(graph)] == ["deep"]


@pytest.mark.parametrize("clip", [True, False])
def test_equalizing_keeps_the_function_and_evens_the_channels(clip):
    graph = model(clip)
    reach = channel_reach(graph, CALIBRATION)
    evened = equalize(graph, reach)
    np.testing.assert_allclose(logits(evened, CALIBRATION), logits(graph, CALIBRATION), rtol=2e-4, atol=2e-4)
    before, after = reach["sa"], channel_reach(evened, CALIBRATION)["sa"]
    assert after.max() / after.min() < before.max() / before.min() / 3


def test_bias_shift_is_the_mean_error_that_rounded_kernels_bring():
    graph = model()
    with_bits = Quantizer(graph, CALIBRATION, Scheme(symmetric=True, weight_bits=7))
    rounded = with_bits.quantize()
    shifts = bias_shifts(with_bits.model, rounded, input_means(with_bits.model, CALIBRATION))
    kernels, integers = tensors(with_bits.model), tensors(rounded)
    # The pointwise layer sees no padding, so the formula is exact: run it with the rounding error as kernel.
    error = integers["point_quantized"] * integers["point_scale"][:, None, None, None] - kernels["point"]
    seen = np.concatenate([values["da"] for values in tensors_on(with_bits.model, ["da"], CALIBRATION)])
    naive = np.einsum("oi,nihw->nohw", error[:, :, 0, 0], seen).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(shifts["point"], naive, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_quantized_graph_stays_close_to_the_float_one(scheme):
    quantizer = Quantizer(model(), CALIBRATION, scheme)
    quantized = quantizer.quantize()
    wanted = logits(model(), HELD_OUT)
    error = np.abs(logits(quantized, HELD_OUT) - wanted).max()
    assert 0.0 < error < 0.1 * wanted.std()
    operators = {node.op_type for node in quantized.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators


def test_equalization_is_what_makes_it_close(monkeypatch):
    def error() -> float:
        quantizer = Quantizer(model(), CALIBRATION, SCHEMES[0])
        quantized = quantizer.quantize()
        return float(np.abs(logits(quantized, HELD_OUT) - logits(model(), HELD_OUT)).mean())

    equalized = error()
    monkeypatch.setattr("sji_edge.quantization.int8.quantizer.equalize", lambda graph, _reach: graph)
    assert equalized < error()


@pytest.mark.parametrize(("bits", "limit"), [(7, 64), (8, 127)])
def test_weights_use_the_requested_bits(bits, limit):
    quantizer = Quantizer(model(), CALIBRATION, Scheme(symmetric=True, weight_bits=bits))
    stored = tensors(quantizer.quantize())
    kernels = [stored[name] for name in ("stem_quantized", "deep_quantized", "point_quantized")]
    assert all(kernel.dtype == np.int8 for kernel in kernels)
    assert all(limit - 2 <= np.abs(kernel.astype(int)).max() <= limit for kernel in kernels)
    assert all(
        len(stored[name + "_scale"]) == len(stored[name + "_quantized"]) for name in ("stem", "deep", "point")
    )


def test_symmetric_activations_are_int8_around_zero_and_biases_float():
    quantizer = Quantizer(model(), CALIBRATION, Scheme(symmetric=True, weight_bits=8))
    graph = quantizer.quantize()
    stored = tensors(graph)
    points = [stored[node.input[2]] for node in graph.graph.node if node.op_type == "QuantizeLinear"]
    assert points
    assert all(point.dtype == np.int8 and not point.any() for point in points)
    assert not any(name.endswith("bias_quantized") for name in stored)


def test_layers_left_in_float_keep_their_kernels_and_biases():
    quantizer = Quantizer(model(), CALIBRATION, Scheme(symmetric=True, weight_bits=8))
    graph = quantizer.quantize(keep_float=quantizer.layers())
    assert "QuantizeLinear" not in {node.op_type for node in graph.graph.node}
    np.testing.assert_allclose(
        logits(graph, HELD_OUT), logits(quantizer.model, HELD_OUT), rtol=1e-5, atol=1e-6
    )


def test_noise_is_measured_layer_by_layer():
    quantizer = Quantizer(model(), CALIBRATION, Scheme(symmetric=True, weight_bits=7))
    seen: list[tuple[int, int]] = []
    noise = layer_noise(quantizer, HELD_OUT, lambda done, total: seen.append((done, total)))
    assert list(noise) == ["stem", "deep", "point"]
    assert all(value > 0 for value in noise.values())
    assert seen[-1] == (3, 3)


def test_the_noisiest_layers_leave_first_and_by_shares():
    noise = {"a": 1.0, "b": 3.0, "c": 2.0, "d": 0.1}
    assert layers_by_noise(noise, (0.5, 0.9, 0.99)) == [("b",), ("b", "c"), ("b", "c", "a")]
    assert layers_by_noise(noise, (0.1, 0.2)) == [("b",)]


def test_no_crop_is_refused():
    with pytest.raises(GateError, match="holds no crop"):
        Quantizer(model(), CALIBRATION[:0], SCHEMES[0])


def test_an_unknown_method_suggests_the_nearest():
    with pytest.raises(UsageError) as caught:
        Quantizer(model(), CALIBRATION, SCHEMES[0], "entropi")
    assert "entropy" in caught.value.hint
