"""The confidence penalty, also called maximum entropy (Pereyra et al., ICLR 2017 workshop, arXiv 1701.06548)."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, at_target, checked, wide


class ConfidencePenalty(JointLoss):
    """Cross-entropy − β H(p); equals ``alpha-js`` at α = 0 up to a constant.

    Args:
        beta: weight of the entropy, ≥ 0.

    Raises:
        ValueError: ``beta`` is out of range.
    """

    def __init__(self, beta: float = 0.1) -> None:
        super().__init__()
        self.beta = checked("beta", beta, 0.0)

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the penalized cross-entropy of each joint, in nats."""
        del features
        log_p = functional.log_softmax(wide(logits), dim=-1)
        entropy = -(log_p.exp() * log_p).sum(dim=-1)
        return -at_target(log_p, targets) - self.beta * entropy
