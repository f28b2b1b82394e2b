import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.tiny_bundle import card

from sji_edge.core.card import PreprocessSpec
from sji_edge.exporting.surgery import fold_input_scale

RNG = np.random.default_rng(1)


def graph(kind: str, factor: np.ndarray, *, channels: int = 3, group: int = 1, read_twice: bool = False):
    kernel = RNG.normal(size=(6, channels // group, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "mean"], ["centred"]),
        helper.make_node(kind, ["centred", "factor"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "kernel", "bias"], ["maps"], pads=[1, 1, 1, 1], group=group),
        helper.make_node("GlobalAveragePool", ["scaled" if read_twice else "maps"], ["pooled"]),
        helper.make_node("GlobalMaxPool", ["maps"], ["peaks"]),
        helper.make_node("Concat", ["pooled", "peaks"], ["both"], axis=1),
        helper.make_node("Flatten", ["both"], ["logits"]),
    ]
    values = {
        "mean": np.float32(110.0),
        "factor": factor.astype(np.float32),
        "kernel": kernel,
        "bias": RNG.normal(size=6).astype(np.float32),
    }
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "start",
            [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", 9, 9, channels])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", None])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.checker.check_model(made)
    return made


def run(model: onnx.ModelProto, crops: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"crops": crops})[0]


@pytest.mark.parametrize("kind", ["Div", "Mul"])
@pytest.mark.parametrize("factor", [np.array(57.0), np.array([58.0, 57.0, 60.0]).reshape(1, 3, 1, 1)])
def test_folding_keeps_the_function_up_to_the_padded_edge(kind, factor):
    before = graph(kind, factor)
    after = fold_input_scale(before)
    assert kind not in {node.op_type for node in after.graph.node}
    assert "factor" not in {tensor.name for tensor in after.graph.initializer}
    onnx.checker.check_model(after)
    crops = RNG.integers(0, 256, (4, 9, 9, 3), dtype=np.uint8)
    wanted = run(before, crops)
    np.testing.assert_allclose(run(after, crops), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize(
    "model",
    [
        graph("Div", np.array(57.0), read_twice=True),
        graph("Div", np.array(57.0), group=3),
        graph("Div", RNG.random((9, 9)) + 1.0),
    ],
    ids=["a second reader", "a grouped kernel", "a factor by place"],
)
def test_what_cannot_be_folded_exactly_stays(model):
    assert fold_input_scale(model) == model


@pytest.mark.parametrize("channels", [1, 3])
def test_an_exported_backbone_keeps_neither_batch_norm_nor_scale(channels):
    import torch

    from sji_edge.exporting.onnx import to_onnx
    from sji_edge.models.classifier import JointClassifier

    spec = PreprocessSpec(height=32, width=32, channels=channels)
    torch.manual_seed(0)
    classifier = JointClassifier("resnet18", 2, spec).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = to_onnx(classifier, card(architecture="resnet18", preprocess=spec))
    assert {"BatchNormalization", "Div", "Mul"}.isdisjoint(node.op_type for node in model.graph.node)
    assert model.graph.input[0].type.tensor_type.shape.dim[3].dim_value == channels
    crops = RNG.integers(0, 256, (3, 32, 32, channels), dtype=np.uint8)
    with torch.no_grad():
        wanted = classifier(torch.from_numpy(crops)).numpy()
    np.testing.assert_allclose(run(model, crops), wanted, rtol=1e-3, atol=1e-4)
