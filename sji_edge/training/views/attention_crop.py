"""Crops enlarged around the place that the model looks at, after WS-DAN (Hu and Qi 2019, arXiv 1901.09891).

A simplification: WS-DAN learns several attention maps; here the mean over the channels of the last feature map
guides the crop, so that the deployed model does not change.
"""

import torch
from torch.nn import functional

THRESHOLDS = (0.4, 0.6)
"""The box holds every cell above this share of the map's range; the share is drawn for each crop, as in WS-DAN."""

MARGIN = 0.1
"""Widening of the box on each side, as a share of the crop."""


def attention_crops(
    crops: torch.Tensor, features: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Enlarge the box around the strongest part of each crop's feature map to the whole crop.

    Args:
        crops: uint8 ``(n, height, width, channels)``.
        features: feature maps of the same crops, float ``(n, channels, h, w)``.
        generator: source of randomness; None for PyTorch's own.

    Returns:
        float ``(n, height, width, channels)``, in grey levels.
    """
    boxes = attended_boxes(features, generator)
    centre, half = boxes.mean(dim=2), (boxes[:, :, 1] - boxes[:, :, 0]) / 2
    maps = torch.zeros(len(crops), 2, 3, device=crops.device)
    maps[:, 0, 0], maps[:, 1, 1] = half[:, 0], half[:, 1]
    maps[:, :, 2] = centre
    images = crops.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    looked = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return looked.permute(0, 2, 3, 1)


def attended_boxes(features: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return boxes around the strongest cells, float ``(n, 2, 2)``: (x, y) by (low, high), in [−1, 1]."""
    attention = features.detach().float().mean(dim=1)
    low, high = attention.amin(dim=(1, 2), keepdim=True), attention.amax(dim=(1, 2), keepdim=True)
    share = torch.empty(len(attention), 1, 1).uniform_(*THRESHOLDS, generator=generator).to(attention.device)
    strong = attention >= low + share * (high - low)
    sides = [_extent(strong.any(dim=1)), _extent(strong.any(dim=2))]
    return torch.stack(sides, dim=1)


def _extent(marked: torch.Tensor) -> torch.Tensor:
    """Return the first and last marked cell of each row as an interval in [−1, 1], with a margin, ``(n, 2)``."""
    cells = marked.shape[1]
    places = torch.arange(cells, device=marked.device).expand_as(marked)
    first = places.masked_fill(~marked, cells).amin(dim=1)
    last = places.masked_fill(~marked, -1).amax(dim=1) + 1
    edges = torch.stack([first / cells - MARGIN, last / cells + MARGIN], dim=1)
    return edges.clamp(0.0, 1.0) * 2.0 - 1.0
