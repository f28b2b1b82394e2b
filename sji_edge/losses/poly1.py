"""Poly-1 (Leng et al., ICLR 2022, "PolyLoss")."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, at_target, checked, wide


class Poly1(JointLoss):
    """Cross-entropy + ε (1 − p), where p is the target's probability: reweights the first term of the Taylor series.

    Args:
        epsilon: change of the first coefficient, ≥ −1; 0 gives cross-entropy.

    Raises:
        ValueError: ``epsilon`` is out of range.
    """

    def __init__(self, epsilon: float = 1.0) -> None:
        super().__init__()
        self.epsilon = checked("epsilon", epsilon, -1.0)

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the Poly-1 loss of each joint, in nats."""
        del features
        log_p = at_target(functional.log_softmax(wide(logits), dim=-1), targets)
        return -log_p - self.epsilon * torch.expm1(log_p)
