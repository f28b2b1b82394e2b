import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from sji_edge.training.qat.fake_quant import ActivationGrid, Bias, Kernel, fake_quantize


def _onnx_pair(values: np.ndarray, step: float, zero: int, kind: type[np.integer]) -> np.ndarray:
    """Values after ONNX's own QuantizeLinear and DequantizeLinear."""
    code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ],
        "pair",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
        [
            helper.make_tensor("s", TensorProto.FLOAT, [], [step]),
            helper.make_tensor("z", code, [], [zero]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return ReferenceEvaluator(model).run(None, {"x": values})[0]


@pytest.mark.parametrize(("kind", "zero"), [(np.int8, 0), (np.uint8, 0), (np.uint8, 97), (np.int8, -5)])
def test_rounding_is_that_of_an_onnx_pair(kind: type[np.integer], zero: int) -> None:
    step = 0.0625
    # Halves of a level, where the way of rounding shows, and values far outside.
    values = np.concatenate([np.arange(-300, 300) * step / 2, [-1e4, 1e4, 0.0]]).astype(np.float32)
    limits = np.iinfo(kind)
    grid = ActivationGrid(step, zero, limits.min, limits.max)
    found = grid(torch.from_numpy(values)).detach().numpy()
    np.testing.assert_array_equal(found, _onnx_pair(values, step, zero, kind))


def test_gradients_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    x = (4 * torch.randn(200)).requires_grad_()
    step = torch.tensor(0.5, requires_grad=True)
    weight = torch.randn(200)
    (fake_quantize(x, step, -8, 7) * weight).sum().backward()
    level = x.detach() / 0.5
    inside = (level > -8.5) & (level < 7.5)
    assert 20 < int((~inside).sum()) < 180
    torch.testing.assert_close(x.grad, weight * inside)
    by_step = torch.where(inside, level.round() - level, level.round().clamp(-8, 7))
    torch.testing.assert_close(step.grad, (by_step * weight).sum())


def test_a_kernel_is_rounded_to_levels_and_a_float_kernel_is_unchanged() -> None:
    kernel = np.array([[0.5, -1.0], [30.0, 7.0]], np.float32)
    step = np.array([[1 / 127], [30 / 127]], np.float32)
    rounded = Kernel(kernel, step, 127)().detach().numpy()
    np.testing.assert_allclose(rounded, np.round(kernel / step) * step, rtol=1e-6)
    assert np.abs(rounded - kernel).max() > 1e-3
    np.testing.assert_allclose(Kernel(kernel, step, 0)().detach().numpy(), kernel, rtol=1e-6)
    assert np.abs(Kernel(3 * kernel, step, 63)().detach().numpy() / step).max() == pytest.approx(63)


def test_a_bias_returns_as_given() -> None:
    bias = np.array([0.25, -3.0], np.float32)
    np.testing.assert_allclose(
        Bias(bias, np.array([0.1, 9.0], np.float32))().detach().numpy(), bias, rtol=1e-6
    )
