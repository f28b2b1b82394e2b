"""Crops cut into patches and shuffled, so that the class must be recognized from parts.

A simplification of the part-based networks that the seed paper compares with: the patches follow PMG (Du et al.,
ECCV 2020) and DCL (Chen et al., CVPR 2019), without the extra heads.
"""

import torch

GRIDS = (2, 3)
"""Patches per side; with 84-pixel crops the smallest patch has 28 pixels."""


def jigsaw(crops: torch.Tensor, grid: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """Shuffle the patches of each crop, in a random order for each crop.

    Args:
        crops: ``(n, height, width, channels)``, of any dtype.
        grid: patches per side. Rows and columns beyond a multiple of it stay in place.
        generator: source of randomness; None for PyTorch's own.

    Returns:
        A new tensor of the same shape and dtype.
    """
    n, height, width, channels = crops.shape
    high, wide = height // grid, width // grid
    inside = crops[:, : high * grid, : wide * grid]
    patches = inside.reshape(n, grid, high, grid, wide, channels).permute(0, 1, 3, 2, 4, 5)
    patches = patches.reshape(n, grid * grid, high, wide, channels)
    order = torch.rand((n, grid * grid), generator=generator).argsort(dim=1).to(crops.device)
    shuffled = patches[torch.arange(n, device=crops.device)[:, None], order]
    whole = shuffled.reshape(n, grid, grid, high, wide, channels).permute(0, 1, 3, 2, 4, 5)
    out = crops.clone()
    out[:, : high * grid, : wide * grid] = whole.reshape(n, high * grid, wide * grid, channels)
    return out
