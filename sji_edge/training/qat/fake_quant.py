"""Fake quantization: round in the forward pass, pass the gradient straight through in the backward pass.

The gradient of a step follows Esser et al. 2020 (Learned Step Size Quantization, arXiv 1902.08153).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.autograd.function import once_differentiable


class _Round(torch.autograd.Function):
    """``clamp(round(x / step), low, high) * step``, with gradients to ``x`` and ``step``."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
        level = x / step
        rounded = torch.round(level).clamp_(low, high)
        ctx.save_for_backward(rounded - level, rounded)
        return rounded * step

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        error, rounded = ctx.saved_tensors
        # A larger error than rounding's half means that the level was clipped.
        inside = error.abs() <= 0.5
        to_step = None
        if ctx.needs_input_grad[1]:
            to_step = (grad * torch.where(inside, error, rounded)).sum()
        return grad * inside, to_step, None, None


def fake_quantize(x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Round a tensor to the levels of a Q/DQ pair, as ONNX's QuantizeLinear does: round half to even, then clip.

    Args:
        x: float.
        step: a positive scalar.
        low: lowest level, minus the zero point.
        high: highest level, minus the zero point.

    Returns:
        float, in the shape of ``x``. The gradient to ``x`` is zero where a level was clipped.
    """
    rounded: torch.Tensor = _Round.apply(x, step, low, high)
    return rounded


class Kernel(nn.Module):
    """A layer's kernel in units of its step, rounded to integers where the engine stores integers.

    The levels are trained, so a learning rate is a share of a level, whatever the scale of a channel.

    Args:
        kernel: the kernel before rounding.
        step: in the kernel's shape, with size 1 in each axis that shares a step.
        high: highest level, and minus the lowest one; 0 keeps the kernel in float.
    """

    step: torch.Tensor
    _one: torch.Tensor

    def __init__(self, kernel: NDArray[np.float32], step: NDArray[np.float32], high: int) -> None:
        super().__init__()
        self.register_buffer("step", torch.from_numpy(np.array(step)))
        self.register_buffer("_one", torch.ones(()))
        self.levels = nn.Parameter(torch.from_numpy(kernel / step))
        self._high = high

    def forward(self) -> torch.Tensor:
        """Return the kernel as the engine holds it."""
        if not self._high:
            return self.levels * self.step
        return fake_quantize(self.levels, self._one, -self._high, self._high) * self.step


class Bias(nn.Module):
    """A layer's bias, in units of its kernel's largest values; trained like the kernel."""

    unit: torch.Tensor

    def __init__(self, bias: NDArray[np.float32], unit: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("unit", torch.from_numpy(np.array(unit)))
        self.scaled = nn.Parameter(torch.from_numpy(bias / unit))

    def forward(self) -> torch.Tensor:
        """Return the bias."""
        return self.scaled * self.unit


class ActivationGrid(nn.Module):
    """A tensor's rounding. The logarithm of the step's change is trained, so a learning rate is a share of the step.

    Args:
        step: positive.
        zero: integer that represents 0.
        low: lowest integer.
        high: highest integer.
    """

    _start: torch.Tensor

    def __init__(self, step: float, zero: int, low: int, high: int) -> None:
        super().__init__()
        self.register_buffer("_start", torch.tensor(step, dtype=torch.float32))
        self.log_change = nn.Parameter(torch.zeros(()))
        self._low, self._high = low - zero, high - zero

    @property
    def step(self) -> torch.Tensor:
        """Size of one level."""
        return self._start * self.log_change.exp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Round a tensor."""
        return fake_quantize(x, self.step, self._low, self._high)
