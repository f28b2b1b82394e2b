import itertools

import onnx
import pytest
from support.small_graph import crops, model
from support.tiny_bundle import card

from sji_edge.quantization.int8.qdq_nodes import scheme_for
from sji_edge.quantization.ladder import candidates


def climbed(folder, wanted, answers):
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
