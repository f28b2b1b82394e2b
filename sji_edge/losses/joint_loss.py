"""Base of every loss: one value per joint, and their mean weighted by class."""

import torch
from torch import nn


class JointLoss(nn.Module):
    """A criterion on logits and targets, and on the model's last feature map if the loss needs it.

    A new loss implements ``per_joint``, and sets ``needs_features`` if it needs the feature map.
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
        """Return the mean loss in nats, a scalar.

        Args:
            logits: float ``(n, classes)``.
            targets: int64 ``(n,)``.
            features: float ``(n, channels, h, w)``, for a loss that needs it.
            class_weights: float ``(classes,)``: each joint is weighted by its class, and the sum is divided by the
                total weight of the batch, so that only the ratio of the weights matters.

        Raises:
            ValueError: the loss needs features and was given none.
        """
        if self.needs_features and features is None:
            raise ValueError(f"{type(self).__name__} needs the model's feature map")
        values = self.per_joint(logits, targets, features)
        if class_weights is None:
            return values.mean()
        weights = class_weights[targets].to(values.dtype)
        return (weights * values).sum() / weights.sum()


def wide(logits: torch.Tensor) -> torch.Tensor:
    """Return logits in float32 at least: half precision is too coarse for the penalties."""
    return logits if logits.dtype == torch.float64 else logits.float()


def at_target(values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return each row's value in its target's column: ``(n, classes)`` to ``(n,)``."""
    return values.gather(1, targets[:, None]).squeeze(1)


def checked(name: str, value: float, low: float, high: float = float("inf")) -> float:
    """Return a setting; raises ``ValueError`` unless it is a finite number in [low, high]."""
    if isinstance(value, bool | str) or not (low <= value <= high and abs(value) < float("inf")):
        rule = f"at least {low:g}" if high == float("inf") else f"in [{low:g}, {high:g}]"
        raise ValueError(f"{name} must be a finite number, {rule} (got {value})")
    return value
