"""Logit normalization (Wei et al., ICML 2022, "Mitigating Neural Network Overconfidence")."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, checked, wide

_TINY = 1e-7


class LogitNorm(JointLoss):
    """Cross-entropy of z / (τ ‖z‖), so that longer logits do not lower the loss.

    The model still gives z, and scores are computed from it as with every other loss. Unlike the other losses, it
    changes when a constant is added to all logits.

    Args:
        temperature: τ > 0.

    Raises:
        ValueError: ``temperature`` is out of range.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = checked("temperature", temperature, 1e-3)

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the cross-entropy of each joint's normalized logits, in nats."""
        del features
        z = wide(logits)
        length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
        return functional.cross_entropy(z / (self.temperature * (length + _TINY)), targets, reduction="none")
