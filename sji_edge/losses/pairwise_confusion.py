"""Pairwise confusion (Dubey et al., ECCV 2018): pull the predictions of different classes together."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, at_target, checked, wide


class PairwiseConfusion(JointLoss):
    """Cross-entropy + λ ‖p_i − p_j‖² over pairs of joints of different classes.

    The paper pairs joints at random; here each joint is paired with every other one of the batch, which is the
    expectation of that and does not depend on the order.

    Args:
        weight: λ ≥ 0. The paper's 10 to 20 are for hundreds of classes with small probabilities.

    Raises:
        ValueError: ``weight`` is out of range.
    """

    def __init__(self, weight: float = 0.3) -> None:
        super().__init__()
        self.weight = checked("weight", weight, 0.0)

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return each joint's cross-entropy, in nats, plus its mean squared distance to joints of other classes."""
        del features
        log_p = functional.log_softmax(wide(logits), dim=-1)
        p = log_p.exp()
        squared = (p[:, None, :] - p[None, :, :]).square().sum(dim=-1)
        differ = (targets[:, None] != targets[None, :]).to(squared.dtype)
        confusion = (squared * differ).sum(dim=1) / max(1, len(targets) - 1)
        return -at_target(log_p, targets) + self.weight * confusion
