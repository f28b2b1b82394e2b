"""The last feature map of a classifier, for losses and augmentations that look at it in training."""

from typing import Any

import torch
from torch import nn

from sji_edge.core.errors import UsageError


class NoFeatureMapError(UsageError):
    """The architecture offers no feature map for what was asked."""


class FeatureTap:
    """Keeps what a model's global pooling was given in its last forward pass.

    Hooks only: neither the weights nor the exported graph change. ``close`` takes them off.

    Args:
        model: a ``JointClassifier``.
        architecture: its name, for the message.
    """

    def __init__(self, model: nn.Module, architecture: str) -> None:
        self._architecture = architecture
        self._map: torch.Tensor | None = None
        # Squeeze-and-excitation pools, too: the last pooling of a pass is the global one.
        self._handles = [
            module.register_forward_pre_hook(self._keep)
            for module in model.modules()
            if isinstance(module, nn.AdaptiveAvgPool2d)
        ]

    def take(self) -> torch.Tensor:
        """Return the map of the last pass, float ``(n, channels, h, w)``, and forget it.

        Raises:
            NoFeatureMapError: the architecture pools otherwise, and offers no map.
        """
        kept, self._map = self._map, None
        if kept is None:
            raise NoFeatureMapError(
                f"{self._architecture} offers no feature map for this loss or augmentation",
                hint="choose efficientnet_lite0, resnet18, googlenet, vgg16, swin_t or another with global pooling",
            )
        return kept

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def _keep(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._map = inputs[0]
