"""The mutual-channel loss, MC-Loss (Chang et al., IEEE TIP 2020, "The Devil is in the Channels")."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, checked, wide


class MutualChannel(JointLoss):
    """Cross-entropy + μ (L_dis − λ L_div) on the last feature map, whose channels are divided among the classes.

    L_dis is the cross-entropy of the maximum over a class's channels, averaged over the positions; in training, a
    random half of the channels is dropped. L_div is the softmax of each channel over the positions, its maximum over a
    class's channels summed over the positions; it is large when channels respond to different positions. Channels
    beyond a multiple of the number of classes are ignored.

    Args:
        mu: weight of the feature term, ≥ 0.
        diversity: λ ≥ 0.

    Raises:
        ValueError: a setting is out of range, or the feature map has fewer channels than classes.
    """

    needs_features = True

    def __init__(self, mu: float = 0.005, diversity: float = 10.0) -> None:
        super().__init__()
        self.mu = checked("mu", mu, 0.0)
        self.diversity = checked("diversity", diversity, 0.0)

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the cross-entropy with the channel terms of each joint, in nats."""
        assert features is not None
        groups = channel_groups(features, logits.shape[-1])
        kept = self._masked(groups) if self.training else groups
        told = functional.cross_entropy(kept.amax(dim=2).mean(dim=-1), targets, reduction="none")
        spread = groups.softmax(dim=-1).amax(dim=2).sum(dim=-1).mean(dim=-1)
        cross_entropy = functional.cross_entropy(wide(logits), targets, reduction="none")
        return cross_entropy + self.mu * (told - self.diversity * spread)

    def _masked(self, groups: torch.Tensor) -> torch.Tensor:
        """Zero a random half of each class's channels."""
        channels = groups.shape[2]
        order = torch.rand(groups.shape[1:3], device=groups.device).argsort(dim=-1)
        kept = (order >= channels // 2).to(groups.dtype)
        return groups * kept[None, :, :, None]


def channel_groups(features: torch.Tensor, classes: int) -> torch.Tensor:
    """Divide the channels of ``(n, channels, h, w)`` among the classes: ``(n, classes, channels per class, h · w)``.

    Raises:
        ValueError: there are fewer channels than classes.
    """
    channels = features.shape[1] // classes
    if channels == 0:
        raise ValueError(
            f"the feature map must have at least one channel for each of the {classes} classes "
            f"(got {features.shape[1]})"
        )
    used = wide(features[:, : channels * classes])
    return used.reshape(len(features), classes, channels, -1)
