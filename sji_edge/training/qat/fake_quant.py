"""Fake quantisation: rounding in the forward pass, straight through it in the backward one.

The gradient of a step is that of Esser et al. 2020 (Learned Step Size Quantization, arXiv 1902.08153).
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
        # Beyond the half of rounding the level was cut off.
        inside = error.abs() <= 0.5
        to_step = None
        if ctx.needs_input_grad[1]:
            to_step = (grad * torch.where(inside, error, rounded)).sum()
        return grad * inside, to_step, None, None


def fake_quantise(x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Round a tensor to the levels of a Q/DQ pair, as ONNX's QuantizeLinear does: half to even, then cut off.

    Args:
        x: float.
        step: a positive scalar.
        low: least level, the zero point taken off.
        high: greatest level.

    Returns:
        float of ``x``'s shape. The gradient to ``x`` passes where no level was cut off.
    """
    rounded: torch.Tensor = _Round.apply(x, step, low, high)
    return rounded


class Kernel(nn.Module):
    """A layer's kernel in units of its step, rounded to integers where the engine stores integers.

    Trained are the levels: a learning rate is then a share of a level, whatever a channel's scale.

    Args:
        kernel: the kernel before rounding.
        step: of the kernel's shape but for 1 in each axis that shares a step.
        high: the greatest level, and the least one negated; 0: the kernel stays float.
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
        return fake_quantise(self.levels, self._one, -self._high, self._high) * self.step


class Bias(nn.Module):
    """A layer's bias, in units of its kernel's greatest values; trained like the kernel."""

    unit: torch.Tensor

    def __init__(self, bias: NDArray[np.float32], unit: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("unit", torch.from_numpy(np.array(unit)))
        self.scaled = nn.Parameter(torch.from_numpy(bias / unit))

    def forward(self) -> torch.Tensor:
        """Return the bias."""
        return self.scaled * self.unit


class ActivationGrid(nn.Module):
    """A tensor's rounding; trained is the logarithm of its step's change: a learning rate is a share of it.

    Args:
        step: positive.
        zero: the integer that stands for 0.
        low: least integer.
        high: greatest integer.
    """

    _start: torch.Tensor

    def __init__(self, step: float, zero: int, low: int, high: int) -> None:
        super().__init__()
        self.register_buffer("_start", torch.tensor(step, dtype=torch.float32))
        self.log_change = nn.Parameter(torch.zeros(()))
        self._low, self._high = low - zero, high - zero

    @property
    def step(self) -> torch.Tensor:
        """The step."""
        return self._start * self.log_change.exp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Round."""
        return fake_quantise(x, self.step, self._low, self._high)
