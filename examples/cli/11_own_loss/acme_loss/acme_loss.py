"""A loss of your own for ``sji-edge train --loss asymmetric``: a missed defect costs more than a false call."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss


class Asymmetric(JointLoss):
    """Cross-entropy, times ``missed`` for defective joints; class 0 is the good class.

    Args:
        missed: factor for defective joints.
    """

    def __init__(self, missed: float = 2.0) -> None:
        super().__init__()
        self.missed = missed

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the loss of each joint in nats, ``(n,)``."""
        del features
        values = functional.cross_entropy(logits.float(), targets, reduction="none")
        return torch.where(targets == 0, values, self.missed * values)
