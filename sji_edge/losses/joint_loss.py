"""What every loss is: one value a joint, and their mean weighted by class."""

import torch
from torch import nn


class JointLoss(nn.Module):
    """A criterion that a training step calls with logits, targets, and what the loss declares to need.

    A new loss implements ``per_joint``. ``needs_features`` says that it wants the model's last feature map.
    """

    needs_features = False

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the loss of each joint in nats, float ``(n,)``."""
        raise NotImplementedError

    def forward(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        features: torch.Tensor | None = None,
        class_weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mean loss in nats, a scalar.

        Args:
            logits: float ``(n, classes)``.
            targets: int64 ``(n,)``.
            features: float ``(n, channels, h, w)``, for a loss that declares it.
            class_weights: float ``(classes,)``: a joint counts by its class's weight; the sum is divided by
                the weights of the batch, so that a weight common to all classes changes nothing.

        Raises:
            ValueError: the loss needs features, and got none.
        """
        if self.needs_features and features is None:
            raise ValueError(f"{type(self).__name__} needs the model's feature map")
        values = self.per_joint(logits, targets, features)
        if class_weights is None:
            return values.mean()
        weights = class_weights[targets].to(values.dtype)
        return (weights * values).sum() / weights.sum()


def wide(logits: torch.Tensor) -> torch.Tensor:
    """Logits in float32 at least: halves lose what a penalty divides or exponentiates."""
    return logits if logits.dtype == torch.float64 else logits.float()


def at_target(values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Pick each row's value in its target's column, ``(n, classes)`` to ``(n,)``."""
    return values.gather(1, targets[:, None]).squeeze(1)


def checked(name: str, value: float, low: float, high: float = float("inf")) -> float:
    """Return a setting; raises ``ValueError`` unless it is a finite number in [low, high]."""
    if isinstance(value, bool | str) or not (low <= value <= high and abs(value) < float("inf")):
        wanted = f"of {low:g} or more" if high == float("inf") else f"in [{low:g}, {high:g}]"
        raise ValueError(f"{name} is {value}; a finite number {wanted} was wanted")
    return value
