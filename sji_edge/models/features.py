"""Take a classifier's last feature map, for losses and augmentations that use it in training."""

from typing import Any

import torch
from torch import nn

from sji_edge.core.errors import UsageError


class NoFeatureMapError(UsageError):
    """The architecture has no feature map that a loss or augmentation could use."""


class FeatureTap:
    """Keeps the input of a model's global pooling from its last forward pass.

    It uses hooks, so that neither the weights nor the exported graph change; ``close`` removes them.

    Args:
        model: a ``JointClassifier``.
        architecture: its name, for the message.
    """

    def __init__(self, model: nn.Module, architecture: str) -> None:
        self._architecture = architecture
        self._map: torch.Tensor | None = None
        # Squeeze-and-excitation also pools; the last pooling of a pass is the global one.
        self._handles = [
            module.register_forward_pre_hook(self._keep)
            for module in model.modules()
            if isinstance(module, nn.AdaptiveAvgPool2d)
        ]

    def take(self) -> torch.Tensor:
        """Return the feature map of the last pass, float ``(n, channels, h, w)``, and release it.

        Raises:
            NoFeatureMapError: the architecture has no global pooling layer to take the map from.
        """
        kept, self._map = self._map, None
        if kept is None:
            raise NoFeatureMapError(
                f"{self._architecture} offers no feature map for this loss or augmentation",
                hint="choose efficientnet_lite0, resnet18, googlenet, vgg16, swin_t or another with global pooling",
            )
        return kept

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()

    def _keep(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._map = inputs[0]
