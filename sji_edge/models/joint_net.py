"""Small plain networks for solder joints: 3×3 convolutions, each with batch normalization and ReLU.

INT8 and bf16 units are made for dense 3×3 convolutions; the depthwise ones of mobile networks leave most of them idle.
There are no pretrained weights: such a network learns from one that has them, see ``training.distillation``.
"""

from itertools import pairwise

import torch
from torch import nn

JOINT_NETS = {"joint_net_s": (16, 32, 64, 128), "joint_net_m": (32, 64, 96, 160)}
"""Channels at stride 2, 4, 8 and 16."""

COLOURS, CLASSES = 3, 2
"""Of a new network, before ``build_backbone`` replaces its stem and its last layer."""


class JointNet(nn.Module):
    """A stem and three stages of two convolutions, then the mean over all positions and one linear layer.

    Each of the four halves the resolution with its first convolution. The stages are modules of their own, so that a
    guard finds the maps at stride 8 and 16.

    Args:
        widths: channels at stride 2, 4, 8 and 16.

    Shapes: images float ``(n, 3, h, w)`` to logits float ``(n, 2)``.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = _convolution(COLOURS, widths[0], stride=2)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(_convolution(before, width, stride=2), _convolution(width, width))
                for before, width in pairwise(widths)
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of normalized images."""
        features = self.pool(self.stages(self.stem(images)))
        logits: torch.Tensor = self.head(features.flatten(1))
        return logits


def _convolution(before: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
