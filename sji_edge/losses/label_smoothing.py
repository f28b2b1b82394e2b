"""Label smoothing (Szegedy et al., CVPR 2016)."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, checked, wide


class LabelSmoothing(JointLoss):
    """Cross-entropy against (1 − ε) onehot + ε uniform.

    Equals ``alpha-js`` at α = 1 and β = ε / (1 − ε) up to a factor.

    Args:
        epsilon: share of the uniform distribution, in [0, 1).

    Raises:
        ValueError: ``epsilon`` is out of range.
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__()
        self.epsilon = checked("epsilon", epsilon, 0.0, 0.999)

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the smoothed cross-entropy of each joint, in nats."""
        del features
        return functional.cross_entropy(wide(logits), targets, label_smoothing=self.epsilon, reduction="none")
