"""Plain cross-entropy."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, wide


class CrossEntropy(JointLoss):
    """−log p(target)."""

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the cross-entropy of each joint, in nats."""
        del features
        return functional.cross_entropy(wide(logits), targets, reduction="none")
