"""Split a classifier into a frozen trunk and the last blocks, which are trained on the trunk's activations."""

import torch
from torch import nn

from sji_edge.core.errors import UsageError
from sji_edge.models.attention import CBAM, STAGES, SqueezeExcitation
from sji_edge.models.classifier import JointClassifier


class _Normalize(nn.Module):
    """The classifier's own normalization of uint8 crops."""

    def __init__(self, model: JointClassifier) -> None:
        super().__init__()
        self.register_buffer("mean", model.mean)
        self.register_buffer("std", model.std)

    mean: torch.Tensor
    std: torch.Tensor

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return (crops.to(self.mean.dtype).permute(0, 3, 1, 2) - self.mean) / self.std


def split_last_blocks(model: JointClassifier, blocks: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Return trunk and tail, which share the model's layers: ``tail(trunk(crops))`` equals ``model(crops)``.

    Args:
        model: an EfficientNet-Lite or a ResNet.
        blocks: number of the last residual blocks that belong to the tail.

    Raises:
        UsageError: another architecture, or too few blocks.
    """
    before, middle, after = _layers(model)
    if not 1 <= blocks < len(middle):
        raise UsageError(
            f"{model.architecture} has {len(middle)} blocks; from 1 to {len(middle) - 1} can be trained alone"
        )
    trunk = nn.Sequential(_Normalize(model), *before, *middle[:-blocks])
    return trunk, nn.Sequential(*middle[-blocks:], *after)


def _layers(model: JointClassifier) -> tuple[list[nn.Module], list[nn.Module], list[nn.Module]]:
    """Return the layers before the blocks, the blocks, and the layers after them, in the order of the forward pass."""
    net = model.backbone
    before: tuple[str, ...]
    after: tuple[str, ...]
    if model.architecture.startswith("efficientnet_lite"):
        before = ("_conv_stem", "_bn0", "_swish")
        after = ("_conv_head", "_bn1", "_swish", "_avg_pooling", "flatten", "_dropout", "_fc")
        blocks = [*net.get_submodule("_blocks").children()]
    elif all(hasattr(net, stage) for stage in STAGES):
        before = ("conv1", "bn1", "relu", "maxpool")
        after = ("avgpool", "flatten", "fc")
        blocks = []
        for layer in (layer for stage in STAGES for layer in net.get_submodule(stage).children()):
            if isinstance(layer, CBAM | SqueezeExcitation):
                # An attention module belongs to the block that it follows.
                blocks[-1] = nn.Sequential(blocks[-1], layer)
            else:
                blocks.append(layer)
    else:
        raise UsageError(
            f"no last blocks of {model.architecture} can be trained alone",
            hint="choose efficientnet_lite0, 1, 2 or a ResNet, or train the whole network with the preset full",
        )
    return [net.get_submodule(name) for name in before], blocks, [_named(net, name) for name in after]


def _named(net: nn.Module, name: str) -> nn.Module:
    return nn.Flatten() if name == "flatten" else net.get_submodule(name)
