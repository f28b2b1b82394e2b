import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from support.small_graph import crops, model
from support.tiny_bundle import card

from sji_edge.quantization.int8.qdq_nodes import scheme_for
from sji_edge.quantization.ladder import candidates


def climbed(folder, wanted, answers, mixed=False):
    """All candidates; ``answers`` says after each whether it passed, and False once they run out."""
    onnx.save(model(), folder / "model.onnx")
    ladder = candidates(
        folder / "model.onnx",
        wanted,
        crops=crops(64),
        card=card(),
        scheme=scheme_for("tensorrt", 8),
        method="minmax",
        halves=("fp16",),
        mixed=mixed,
        folder=folder,
        step=lambda text: None,
    )
    found, answers = [next(ladder)], iter(answers)
    while True:
        try:
            found.append(ladder.send(next(answers, False)))
        except StopIteration:
            return found


@pytest.mark.parametrize(("wanted", "beyond"), [("int8", []), ("auto", ["fp16", "fp32"])])
def test_int8_that_does_not_do_leaves_more_and_more_layers_in_float(tmp_path, wanted, beyond):
    found = climbed(tmp_path, wanted, [])
    kept = [one.facts["float_layers"] for one in found if one.precision == "int8"]
    assert kept[0] == []
    assert len(kept) > 1
    for fewer, more in itertools.pairwise(kept):
        assert set(fewer) < set(more)
    assert [one.precision for one in found[len(kept) :]] == beyond


def test_int8_that_does_is_the_last_that_is_tried(tmp_path):
    assert [one.facts["float_layers"] for one in climbed(tmp_path, "int8", [True])] == [[]]
    assert len(climbed(tmp_path, "int8", [False, True])) == 2


@pytest.mark.parametrize(("answers", "label"), [([True], "int8"), ([False, True], "int8, ")])
def test_the_int8_graph_that_passed_is_tried_with_fp16_in_its_float_layers(tmp_path, answers, label):
    *before, last = climbed(tmp_path, "int8", answers, mixed=True)
    assert last.label == f"{before[-1].label}, rest fp16"
    assert last.label.startswith(label)
    assert last.optional
    graph = onnx.load(last.graph)
    scales = {node.input[1] for node in graph.graph.node if node.op_type == "DequantizeLinear"}
    kinds = {tensor.data_type for tensor in graph.graph.initializer if tensor.name in scales}
    assert kinds == {onnx.TensorProto.FLOAT16}
    int8, both = (
        onnxruntime.InferenceSession(one.graph, providers=["CPUExecutionProvider"]).run(
            None, {"crops": crops(32)}
        )[0]
        for one in (before[-1], last)
    )
    np.testing.assert_allclose(both, int8, atol=0.02 * np.abs(int8).max())


def test_int8_that_does_not_pass_is_not_tried_beside_fp16(tmp_path):
    assert not [one for one in climbed(tmp_path, "int8", [], mixed=True) if one.optional]
