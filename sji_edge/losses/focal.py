"""The focal loss (Lin et al., ICCV 2017; for calibration: Mukhoti et al., NeurIPS 2020)."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, at_target, checked, wide


class Focal(JointLoss):
    """−(1 − p)^γ log p, where p is the target's probability.

    Args:
        gamma: focus on uncertain joints, ≥ 0; 0 gives cross-entropy.

    Raises:
        ValueError: ``gamma`` is out of range.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = checked("gamma", gamma, 0.0)

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the focal loss of each joint, in nats."""
        del features
        log_p = functional.log_softmax(wide(logits), dim=-1)
        # log(1 − p) comes from the other classes: 1 − p rounds to 0 for a confident joint and has no gradient.
        is_target = functional.one_hot(targets, log_p.shape[-1]).bool()
        log_rest = log_p.masked_fill(is_target, -torch.inf).logsumexp(dim=-1)
        return -(self.gamma * log_rest).exp() * at_target(log_p, targets)
