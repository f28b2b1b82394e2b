"""Margin-based label smoothing, MbLS (Liu et al., CVPR 2022, "The Devil is in the Margin")."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, checked, wide


class MarginLabelSmoothing(JointLoss):
    """Cross-entropy + λ Σ_k max(0, max_j z_j − z_k − m), on logits z.

    Args:
        margin: distance m between logits without penalty, ≥ 0; 0 penalizes like label smoothing.
        weight: λ ≥ 0.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(self, margin: float = 6.0, weight: float = 0.1) -> None:
        super().__init__()
        self.margin = checked("margin", margin, 0.0)
        self.weight = checked("weight", weight, 0.0)

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the penalized cross-entropy of each joint, in nats."""
        del features
        z = wide(logits)
        excess = functional.relu(z.amax(dim=-1, keepdim=True) - z - self.margin).sum(dim=-1)
        return functional.cross_entropy(z, targets, reduction="none") + self.weight * excess
