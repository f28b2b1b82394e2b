"""Plain cross-entropy."""

import torch
from torch import nn
from torch.nn import functional


class CrossEntropy(nn.Module):
    """Mean cross-entropy in nats.

    Shapes: logits float ``(n, classes)``, targets int64 ``(n,)``; returns a scalar.
    """

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean of −log p(target)."""
        return functional.cross_entropy(logits, targets)
