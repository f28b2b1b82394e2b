"""Attention modules after the stages of a ResNet: CBAM and squeeze-and-excitation.

The seed paper compares with attention networks without saying where the module is placed; here it follows each of
the four stages.
"""

import torch
from torch import nn

from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest

REDUCTION = 16
STAGES = ("layer1", "layer2", "layer3", "layer4")


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation: scale channels by weights computed from their means (Hu et al., CVPR 2018).

    Shapes: float ``(n, channels, h, w)`` in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = _bottleneck(channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scale each channel by a weight in (0, 1)."""
        weights: torch.Tensor = self.weigh(features.mean(dim=(2, 3))).sigmoid()
        return features * weights[:, :, None, None]


class CBAM(nn.Module):
    """CBAM: scale channels by their means and maxima, then positions by those over the channels.

    Source: Woo et al., ECCV 2018.

    Shapes: float ``(n, channels, h, w)`` in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = _bottleneck(channels)
        self.place = nn.Conv2d(2, 1, kernel_size=7, padding=3)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scale each channel, then each position, by a weight in (0, 1)."""
        weights = self.weigh(features.mean(dim=(2, 3))) + self.weigh(features.amax(dim=(2, 3)))
        features = features * weights.sigmoid()[:, :, None, None]
        across = torch.cat([features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)], dim=1)
        looked: torch.Tensor = features * self.place(across).sigmoid()
        return looked


ATTENTION: dict[str, type[nn.Module]] = {"cbam": CBAM, "se": SqueezeExcitation}


def split_architecture(name: str) -> tuple[str, str]:
    """Return ``("resnet18", "cbam")`` for ``resnet18+cbam``, and an empty attention for a plain name."""
    base, _, attention = name.partition("+")
    return base, attention


def add_attention(model: nn.Module, name: str, attention: str) -> None:
    """Append an attention module to each stage of a ResNet, in place; other tensors keep their names.

    Raises:
        UsageError: the attention is unknown, or the model is not a ResNet.
    """
    if attention not in ATTENTION:
        raise UsageError(f"unknown attention {attention!r}", hint=nearest(attention, [*ATTENTION]))
    if not all(isinstance(getattr(model, stage, None), nn.Sequential) for stage in STAGES):
        raise UsageError(
            f"{name} has no ResNet stages for {attention} to follow", hint="choose resnet18, resnet50, …"
        )
    for stage in STAGES:
        blocks = model.get_submodule(stage)
        assert isinstance(blocks, nn.Sequential)
        blocks.append(ATTENTION[attention](_width(blocks)))


def attention_tensors(model: nn.Module) -> set[str]:
    """Return the names of all tensors of attention modules, which pretrained weights lack."""
    return {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, CBAM | SqueezeExcitation)
        for name in module.state_dict()
    }


def _bottleneck(channels: int) -> nn.Sequential:
    inner = max(1, channels // REDUCTION)
    return nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels))


def _width(blocks: nn.Sequential) -> int:
    """Return a stage's output channels: those of the last convolution of its last block."""
    return [module for module in blocks[-1].modules() if isinstance(module, nn.Conv2d)][-1].out_channels
