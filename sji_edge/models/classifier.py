"""The deployed model: uint8 crops in, logits out."""

import torch
from torch import nn

from sji_edge.core.card import PreprocessSpec
from sji_edge.models.backbones import build_backbone, normalization


class JointClassifier(nn.Module):
    """A backbone behind its input normalization.

    Args:
        architecture: name of a backbone, see ``build_backbone``.
        classes: number of classes.
        spec: size and channels of the crop.
        imagenet: start from ImageNet weights.

    Shapes: crops uint8 ``(n, height, width, channels)`` to logits float ``(n, classes)``.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, architecture: str, classes: int, spec: PreprocessSpec, imagenet: bool = False) -> None:
        super().__init__()
        self.backbone = build_backbone(
            architecture, classes, spec.channels, (spec.height, spec.width), imagenet=imagenet
        )
        self.architecture = architecture
        mean, std = normalization(architecture)
        if spec.channels == 1:
            # The pretrained stem is summed over its colours, so grey takes their average normalization.
            mean, std = (sum(mean) / 3,), (sum(std) / 3,)
        # Not saved: they follow from the architecture and the channels.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1) * 255.0, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1) * 255.0, persistent=False)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Return the logits of crops; the cast comes first because TensorRT's Transpose refuses uint8."""
        images = crops.to(self.mean.dtype).permute(0, 3, 1, 2)
        logits: torch.Tensor = self.backbone((images - self.mean) / self.std)
        return logits
