"""Train with a loss of your own: a missed defect costs more than a false call."""

import torch
from torch.nn import functional

import sji_edge as sji
from sji_edge.losses import LOSSES
from sji_edge.losses.joint_loss import JointLoss


class Asymmetric(JointLoss):
    """Cross-entropy, times ``missed`` for defective joints; class 0 is the good class."""

    def __init__(self, missed: float = 2.0) -> None:
        super().__init__()
        self.missed = missed

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the loss of each joint in nats, ``(n,)``."""
        values = functional.cross_entropy(logits.float(), targets, reduction="none")
        return torch.where(targets == 0, values, self.missed * values)


LOSSES.add("asymmetric", Asymmetric)
run = sji.train("joints/", loss="asymmetric", loss_options={"missed": 4.0}, image_size=32, epochs=1)
print(f"{run.folder}: trained with {run.card.loss.name} {dict(run.card.loss.settings)}")
