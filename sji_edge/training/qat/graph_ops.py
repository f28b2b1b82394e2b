"""The ONNX operators of an exported graph in PyTorch, as far as fine-tuning needs them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

Values = Sequence[torch.Tensor | None]
Attributes = Mapping[str, Any]
Operator = Callable[[Values, Attributes], torch.Tensor | tuple[torch.Tensor, ...]]


def _need(values: Values, index: int) -> torch.Tensor:
    value = values[index] if index < len(values) else None
    if value is None:
        raise ValueError(f"input {index} is missing")
    return value


def _may(values: Values, index: int) -> torch.Tensor | None:
    return values[index] if index < len(values) else None


def _padded(x: torch.Tensor, pads: Sequence[int], value: float = 0.0) -> torch.Tensor:
    """Pad the two image axes; ONNX lists all beginnings, then all ends."""
    if not any(pads):
        return x
    top, left, bottom, right = pads
    return functional.pad(x, (left, right, top, bottom), value=value)


def _conv(values: Values, attributes: Attributes) -> torch.Tensor:
    x = _padded(_need(values, 0), attributes.get("pads", (0, 0, 0, 0)))
    return functional.conv2d(
        x,
        _need(values, 1),
        _may(values, 2),
        stride=tuple(attributes.get("strides", (1, 1))),
        dilation=tuple(attributes.get("dilations", (1, 1))),
        groups=attributes.get("group", 1),
    )


def _gemm(values: Values, attributes: Attributes) -> torch.Tensor:
    a, b, c = _need(values, 0), _need(values, 1), _may(values, 2)
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    product = torch.mul(a @ b, attributes.get("alpha", 1.0))
    return product if c is None else product + attributes.get("beta", 1.0) * c


def _pool(kind: Callable[..., torch.Tensor], fill: float) -> Operator:
    def pool(values: Values, attributes: Attributes) -> torch.Tensor:
        pads = tuple(attributes.get("pads", (0, 0, 0, 0)))
        if kind is functional.avg_pool2d and any(pads) and not attributes.get("count_include_pad", 0):
            raise ValueError("average pooling that ignores its padding is not supported")
        return kind(
            _padded(_need(values, 0), pads, fill),
            tuple(attributes["kernel_shape"]),
            stride=tuple(attributes.get("strides", (1, 1))),
            ceil_mode=bool(attributes.get("ceil_mode", 0)),
        )

    return pool


def _reduce_mean(values: Values, attributes: Attributes) -> torch.Tensor:
    axes = _may(values, 1)
    chosen = axes.tolist() if axes is not None else attributes["axes"]
    return _need(values, 0).mean(dim=tuple(chosen), keepdim=bool(attributes.get("keepdims", 1)))


def _reshape(values: Values, attributes: Attributes) -> torch.Tensor:
    x, shape = _need(values, 0), _need(values, 1).tolist()
    if not attributes.get("allowzero", 0):
        shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return x.reshape(shape)


def _clip(values: Values, _attributes: Attributes) -> torch.Tensor:
    low, high = _may(values, 1), _may(values, 2)
    # Numbers, not tensors: clamp with tensor limits also computes the limits' gradients.
    return torch.clamp(
        _need(values, 0), None if low is None else float(low), None if high is None else float(high)
    )


def _split(values: Values, attributes: Attributes) -> tuple[torch.Tensor, ...]:
    x, axis = _need(values, 0), attributes.get("axis", 0)
    sizes = _may(values, 1)
    if sizes is None:
        return tuple(torch.chunk(x, attributes["num_outputs"], dim=axis))
    return tuple(torch.split(x, sizes.tolist(), dim=axis))


def _batch_norm(values: Values, attributes: Attributes) -> torch.Tensor:
    x, weight, bias, mean, variance = (_need(values, index) for index in range(5))
    return functional.batch_norm(x, mean, variance, weight, bias, eps=attributes.get("epsilon", 1e-5))


def _hard_sigmoid(values: Values, attributes: Attributes) -> torch.Tensor:
    x = _need(values, 0) * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5)
    return torch.clamp(x, 0.0, 1.0)


OPERATORS: dict[str, Operator] = {
    "Add": lambda values, _: _need(values, 0) + _need(values, 1),
    "AveragePool": _pool(functional.avg_pool2d, 0.0),
    "BatchNormalization": _batch_norm,
    "Cast": lambda values, _: _need(values, 0).float(),
    "Clip": _clip,
    "Concat": lambda values, attributes: torch.cat(
        [_need(values, index) for index in range(len(values))], dim=attributes["axis"]
    ),
    "Conv": _conv,
    "Div": lambda values, _: _need(values, 0) / _need(values, 1),
    "Flatten": lambda values, attributes: _need(values, 0).flatten(attributes.get("axis", 1)),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda values, _: _need(values, 0).mean(dim=(2, 3), keepdim=True),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda values, _: functional.hardswish(_need(values, 0)),
    "MaxPool": _pool(functional.max_pool2d, float("-inf")),
    "Mul": lambda values, _: _need(values, 0) * _need(values, 1),
    "ReduceMean": _reduce_mean,
    "Relu": lambda values, _: functional.relu(_need(values, 0)),
    "Reshape": _reshape,
    "Sigmoid": lambda values, _: torch.sigmoid(_need(values, 0)),
    "Split": _split,
    "Sub": lambda values, _: _need(values, 0) - _need(values, 1),
    "Transpose": lambda values, attributes: _need(values, 0).permute(*attributes["perm"]),
}
"""Operators by ONNX name. ``Flatten`` supports axis 1 only, the only one that exporters write."""
