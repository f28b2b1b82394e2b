import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from support.small_graph import SIDE, crops, model

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import GateError, UsageError
from sji_edge.quantization.int8.quantizer import Quantizer, Scheme
from sji_edge.quantization.tensor_values import tensors_on
from sji_edge.training.qat.fine_tune import FineTuneSettings, _rate, fine_tune
from sji_edge.training.qat.qdq_network import QdqNetwork

SPEC = PreprocessSpec(height=SIDE, width=SIDE)
SCHEMES = {
    "int8": Scheme(symmetric=True, weight_bits=8),
    "7 bits": Scheme(symmetric=True, weight_bits=7),
    "uint8 and int32": Scheme(symmetric=False, weight_bits=8),
}


def _logits(graph: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    return np.concatenate([values["logits"] for values in tensors_on(graph, ["logits"], batch)])


def _quantized(scheme: Scheme, keep: tuple[str, ...] = ()) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    quantizer = Quantizer(model(), crops(64), scheme)
    try:
        return quantizer.quantize(keep), quantizer.model
    finally:
        quantizer.close()


def _values(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}


def test_a_float_graph_computes_what_onnxruntime_does() -> None:
    network = QdqNetwork(model(), model())
    found = network(torch.from_numpy(crops(20))).detach().numpy()
    np.testing.assert_allclose(found, _logits(model(), crops(20)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("keep", [(), ("deep", "stem")])
def test_a_quantized_graph_computes_what_onnxruntime_does(name: str, keep: tuple[str, ...]) -> None:
    graph, floats = _quantized(SCHEMES[name], keep)
    network = QdqNetwork(graph, floats)
    found = network(torch.from_numpy(crops(40, seed=9))).detach().numpy()
    wanted = _logits(graph, crops(40, seed=9))
    plain = _logits(model(), crops(40, seed=9))
    # A value on the edge of two levels may fall to either side: nearly all logits are the same.
    gap = np.abs(found - wanted)
    assert np.median(gap) < 1e-4
    assert gap.max() < np.abs(wanted - plain).max()


@pytest.mark.parametrize("name", SCHEMES)
def test_what_was_not_trained_is_written_back_as_it_was(name: str) -> None:
    graph, floats = _quantized(SCHEMES[name])
    back = QdqNetwork(graph, floats).to_graph()
    onnx.checker.check_model(back)
    assert [node.SerializeToString() for node in back.graph.node] == [
        node.SerializeToString() for node in graph.graph.node
    ]
    before, after = _values(graph), _values(back)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert after[key].dtype == value.dtype
        assert after[key].shape == value.shape
        # Float32 holds 24 bits of an int32 bias.
        np.testing.assert_allclose(after[key], value, rtol=1e-5, atol=1e-6, err_msg=key)


def _with_coarse_steps(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with eight times too wide ranges."""
    steps = {node.input[1] for node in graph.graph.node if node.op_type == "QuantizeLinear"}
    for tensor in graph.graph.initializer:
        if tensor.name in steps:
            tensor.CopyFrom(numpy_helper.from_array(8 * numpy_helper.to_array(tensor), tensor.name))
    return graph


@pytest.mark.parametrize("name", ["int8", "7 bits"])
def test_fine_tuning_brings_the_graph_closer_to_its_teacher(name: str) -> None:
    graph, floats = _quantized(SCHEMES[name])
    _with_coarse_steps(graph)
    images = list(crops(64, seed=1)[..., 0])
    done: list[int] = []
    tuned = fine_tune(
        graph,
        floats,
        model(),
        images,
        SPEC,
        FineTuneSettings(epochs=15, batch_size=16, learning_rate=0.03, step_rate=0.05),
        progress=lambda number, total, rms: done.append(number),
    )
    onnx.checker.check_model(tuned.graph)
    wanted = _logits(model(), crops(64, seed=2))

    def rms(candidate: onnx.ModelProto) -> float:
        return float(np.sqrt(np.mean((_logits(candidate, crops(64, seed=2)) - wanted) ** 2)))

    assert rms(tuned.graph) < 0.75 * rms(graph)
    # The held-out joints' figure is what it says it is.
    held_out = np.stack(images[7::8])[..., None]
    wanted = _logits(model(), held_out)
    found = float(np.sqrt(np.mean((_logits(graph, held_out) - wanted) ** 2)))
    assert tuned.rms_before == pytest.approx(found, rel=0.05)
    assert min(tuned.rms_by_epoch) < 0.75 * tuned.rms_before
    # 56 of 64 joints in batches of 16, 15 times.
    assert done == list(range(1, 61))
    # It is the engine's own graph still: the same nodes, integers within their range.
    assert [node.op_type for node in tuned.graph.graph.node] == [node.op_type for node in graph.graph.node]
    levels = 127 if SCHEMES[name].weight_bits == 8 else 64
    assert (
        max(np.abs(v.astype(int)).max() for v in _values(tuned.graph).values() if v.dtype == np.int8)
        <= levels
    )


def test_the_same_seed_gives_the_same_graph_and_leaves_the_generator_alone() -> None:
    graph, floats = _quantized(SCHEMES["int8"])
    _with_coarse_steps(graph)
    torch.manual_seed(1)
    state = torch.get_rng_state()

    def made(seed: int) -> bytes:
        settings = FineTuneSettings(epochs=6, batch_size=8, learning_rate=0.03, step_rate=0.1, seed=seed)
        tuned = fine_tune(graph, floats, model(), list(crops(32)[..., 0]), SPEC, settings)
        return tuned.graph.SerializeToString()

    assert made(5) == made(5)
    assert made(5) not in (made(6), graph.SerializeToString())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_graph_that_gets_no_closer_stays_as_it_was() -> None:
    graph, floats = _quantized(SCHEMES["int8"])
    tuned = fine_tune(
        graph,
        floats,
        model(),
        list(crops(32)[..., 0]),
        SPEC,
        FineTuneSettings(epochs=1, batch_size=16, learning_rate=50.0),
    )
    assert min(tuned.rms_by_epoch) > tuned.rms_before
    assert tuned.graph.SerializeToString() == graph.SerializeToString()


def test_an_operator_that_is_not_known_is_named() -> None:
    strange = model()
    strange.graph.node[-1].input[0] = "sine"
    strange.graph.node.insert(len(strange.graph.node) - 1, helper.make_node("Sin", ["flat"], ["sine"]))
    with pytest.raises(UsageError, match="Sin"):
        QdqNetwork(strange, strange)


def test_no_image_and_a_divergence_are_refused() -> None:
    graph, floats = _quantized(SCHEMES["int8"])
    with pytest.raises(UsageError, match=r"needs at least 2 images \(got 1\)"):
        fine_tune(graph, floats, model(), [crops(1)[0, ..., 0]], SPEC, FineTuneSettings())
    with pytest.raises(GateError, match="diverged"):
        fine_tune(
            graph,
            floats,
            model(),
            list(crops(16)[..., 0]),
            SPEC,
            FineTuneSettings(epochs=3, batch_size=8, bias_rate=1e30),
        )


@pytest.mark.parametrize("count", [2, 5, 7, 8, 9])
def test_no_held_out_image_is_trained_on(count: int) -> None:
    """One batch per trained image; the best epoch is chosen on the rest."""
    graph, floats = _quantized(SCHEMES["int8"])
    totals: set[int] = set()
    settings = FineTuneSettings(epochs=1, batch_size=1)
    fine_tune(
        graph,
        floats,
        model(),
        list(crops(count)[..., 0]),
        SPEC,
        settings,
        progress=lambda _done, total, _rms: totals.add(total),
    )
    assert totals == {count - 1}


def test_the_rate_rises_then_falls_to_nothing() -> None:
    rates = [_rate(step, 100) for step in range(101)]
    assert rates[0] < 0.2
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[-1] == pytest.approx(0.0, abs=1e-6)
    peak = int(np.argmax(rates))
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
