"""Every operator of fine-tuning against ONNX's own reference."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from sji_edge.training.qat.graph_ops import OPERATORS

RNG = np.random.default_rng(3)


def _normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


IMAGE = _normal(2, 6, 7, 8)
FLAT = _normal(3, 5)

CASES: dict[str, list[tuple[list[np.ndarray | None], dict[str, object]]]] = {
    "Add": [([IMAGE, _normal(2, 6, 7, 8)], {})],
    "AveragePool": [
        ([IMAGE], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ([IMAGE], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ],
    "BatchNormalization": [([IMAGE, *(_normal(6) for _ in range(3)), np.abs(_normal(6))], {"epsilon": 1e-3})],
    "Cast": [([RNG.integers(0, 256, (2, 3), np.uint8)], {"to": TensorProto.FLOAT})],
    "Clip": [([FLAT, np.float32(-0.2), np.float32(0.6)], {}), ([FLAT, np.float32(0.0)], {})],
    "Concat": [([IMAGE, _normal(2, 3, 7, 8)], {"axis": 1})],
    "Conv": [
        ([IMAGE, _normal(4, 6, 3, 3), _normal(4)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ([IMAGE, _normal(4, 6, 3, 3)], {"pads": [0, 1, 2, 0]}),
        ([IMAGE, _normal(6, 1, 3, 3), _normal(6)], {"group": 6, "dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    ],
    "Div": [([FLAT, np.float32(3.0)], {})],
    "Flatten": [([IMAGE], {}), ([IMAGE], {"axis": 1})],
    "Gemm": [
        ([FLAT, _normal(4, 5), _normal(4)], {"transB": 1}),
        ([FLAT, _normal(5, 4)], {"alpha": 0.5}),
        ([_normal(5, 3), _normal(5, 4), _normal(4)], {"transA": 1, "beta": 2.0}),
    ],
    "GlobalAveragePool": [([IMAGE], {})],
    "HardSigmoid": [([FLAT * 4], {"alpha": 1 / 6, "beta": 0.5})],
    "HardSwish": [([FLAT * 4], {})],
    "MaxPool": [([IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})],
    "Mul": [([IMAGE, _normal(2, 6, 1, 1)], {})],
    "ReduceMean": [
        ([IMAGE, np.array([2, 3])], {"keepdims": 1}),
        ([IMAGE, np.array([-1, -2])], {"keepdims": 0}),
    ],
    "Relu": [([FLAT], {})],
    "Reshape": [([IMAGE, np.array([0, -1])], {}), ([IMAGE, np.array([-1, 336])], {"allowzero": 1})],
    "Sigmoid": [([FLAT], {})],
    "Split": [([IMAGE, np.array([2, 4])], {"axis": 1}), ([IMAGE], {"axis": 1, "num_outputs": 2})],
    "Sub": [([FLAT, _normal(5)], {})],
    "Transpose": [([IMAGE], {"perm": [0, 2, 3, 1]})],
}


def test_every_operator_has_a_case() -> None:
    assert CASES.keys() == OPERATORS.keys()


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, cases in CASES.items() for number in range(len(cases))]
)
def test_an_operator_computes_what_onnx_says(name: str, number: int) -> None:
    given, attributes = CASES[name][number]
    outputs = ["y", "y2"] if name == "Split" else ["y"]
    node = helper.make_node(name, [f"x{place}" for place in range(len(given))], outputs, **attributes)
    kinds = [helper.np_dtype_to_tensor_dtype(value.dtype) for value in given]
    graph = helper.make_graph(
        [node],
        name,
        [helper.make_tensor_value_info(f"x{place}", kind, None) for place, kind in enumerate(kinds)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    wanted = ReferenceEvaluator(model).run(None, {f"x{place}": value for place, value in enumerate(given)})
    read = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    found = OPERATORS[name]([torch.from_numpy(np.asarray(value)) for value in given], read)
    results = found if isinstance(found, tuple) else (found,)
    for one, other in zip(results, wanted, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-4, atol=1e-5)


def test_average_pooling_without_its_padding_is_refused_not_guessed() -> None:
    with pytest.raises(ValueError, match="padding"):
        OPERATORS["AveragePool"]([torch.zeros(1, 1, 4, 4)], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]})
