"""The mutual-channel loss, MC-Loss (Chang et al., IEEE TIP 2020, "The Devil is in the Channels")."""

import torch
from torch.nn import functional

from sji_edge.losses.joint_loss import JointLoss, checked, wide


class MutualChannel(JointLoss):
    """Cross-entropy + μ (L_dis − λ L_div) on the last feature map, whose channels are shared out to the classes.

    L_dis: the maximum over a class's channels, averaged over the places, must tell the class; in
    training a random half of the channels is left out. L_div: the softmax of each channel over the
    places, its maximum over a class's channels summed over the places: large where channels look at
    different places. Channels beyond a multiple of the number of classes are left out.

    Args:
        mu: weight of the term on features, ≥ 0.
        diversity: λ ≥ 0.

    Raises:
        ValueError: a setting out of range, or a feature map with fewer channels than classes.
    """

    needs_features = True

    def __init__(self, mu: float = 0.005, diversity: float = 10.0) -> None:
        super().__init__()
        self.mu = checked("mu", mu, 0.0)
        self.diversity = checked("diversity", diversity, 0.0)

    def per_joint(
        self, logits: torch.Tensor, targets: torch.Tensor, features: torch.Tensor | None
    ) -> torch.Tensor:
        """Cross-entropy and the channel terms of each joint, in nats."""
        assert features is not None
        groups = channel_groups(features, logits.shape[-1])
        kept = self._masked(groups) if self.training else groups
        told = functional.cross_entropy(kept.amax(dim=2).mean(dim=-1), targets, reduction="none")
        spread = groups.softmax(dim=-1).amax(dim=2).sum(dim=-1).mean(dim=-1)
        cross_entropy = functional.cross_entropy(wide(logits), targets, reduction="none")
        return cross_entropy + self.mu * (told - self.diversity * spread)

    def _masked(self, groups: torch.Tensor) -> torch.Tensor:
        """Zero half of each class's channels, drawn anew each step."""
        channels = groups.shape[2]
        order = torch.rand(groups.shape[1:3], device=groups.device).argsort(dim=-1)
        kept = (order >= channels // 2).to(groups.dtype)
        return groups * kept[None, :, :, None]


def channel_groups(features: torch.Tensor, classes: int) -> torch.Tensor:
    """Share the channels of ``(n, channels, h, w)`` out: ``(n, classes, channels a class, h · w)``.

    Raises:
        ValueError: fewer channels than classes.
    """
    channels = features.shape[1] // classes
    if channels == 0:
        raise ValueError(
            f"the feature map has {features.shape[1]} channels; "
            f"at least one for each of the {classes} classes was wanted"
        )
    used = wide(features[:, : channels * classes])
    return used.reshape(len(features), classes, channels, -1)
