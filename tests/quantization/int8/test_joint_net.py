"""Plain convolutions are what INT8 is for: every one of a student's becomes integer, and it answers alike."""

import numpy as np
import onnx
import pytest
from support.real_graphs import SIDE, exported

from sji_edge.quantization.int8.qdq_nodes import scheme_for
from sji_edge.quantization.int8.quantizer import Quantizer
from sji_edge.quantization.tensor_values import tensors_on


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_every_convolution_of_a_joint_net_becomes_integer_and_answers_alike(backend):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (32, SIDE, SIDE, 1), dtype=np.uint8)
    model = onnx.load_from_string(exported("joint_net_s"))
    whole = Quantizer(model, crops, scheme_for(backend, 7), "minmax").quantize(())
    made = {output: node for node in whole.graph.node for output in node.output}
    *layers, last = (node for node in whole.graph.node if node.op_type in ("Conv", "Gemm", "MatMul"))
    assert [node.op_type for node in layers] == ["Conv"] * 7
    for node in layers:
        assert {made[name].op_type for name in node.input[:2]} == {"DequantizeLinear"}
    # A few dot products: integers would cost more than they save.
    assert last.output[0] == "logits"
    assert last.input[1] in {constant.name for constant in whole.graph.initializer}
    wanted, found = (
        np.concatenate([values["logits"] for values in tensors_on(graph, ["logits"], crops)])
        for graph in (model, whole)
    )
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()
