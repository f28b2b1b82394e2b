"""The guard: how unlike everything that was learned a joint is, computed beside the logits.

Feature cells at stride 8 and 16 are normalised and put side by side on the coarser grid. Two measures look at them:

- a **patch memory**: the distance of each cell to the nearest of a few prototypes, chosen from good training joints
  (after PatchCore: Roth et al., CVPR 2022, arXiv 2106.08265);
- a **detector**: three small convolutions that were taught on made-up novelties where a cell is no good joint.

Each is averaged over its worst tenth of the cells and scaled so that 1 is as unusual as one good validation view in a
hundred; the novelty is the larger of the two. It says nothing about defects: that is the classifier's part.

It also describes each crop in a few hundred numbers, its **features**: a projection of every cell. A recipe's enrolled
boards are compared by them, place by place.

The maps of a small network that was never pretrained say little about what it was not taught. Its guard therefore looks
at a **regressor**: the cells of its teacher, predicted from its own maps.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from sji_edge.core.features import CELL_FEATURES
from sji_edge.models.classifier import JointClassifier

STRIDES = (8, 16)
DETECTOR_WIDTH = 48
WORST_SHARE = 0.1
MIN_GRID = 3
"""A feature map with fewer cells a side says too little of where something lies."""
EPSILON = 1e-6
MIN_DEVIATION = 1e-4
MAX_GRID = 8
"""Larger grids are averaged down to this many cells a side before they become features."""


class Regressor(nn.Module):
    """Predicts a teacher's cells from a student's maps (FitNets: Romero et al., ICLR 2015, arXiv 1412.6550).

    Args:
        inputs: channels of the student's maps, side by side.
        channels: those of the teacher's cells, fine and coarse, see ``Guard``.

    Shapes: maps float ``(n, inputs, h, w)`` to cells float ``(n, sum(channels), h, w)``.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, inputs: int, channels: tuple[int, int]) -> None:
        super().__init__()
        self.inputs = inputs
        self.channels = channels
        self.layer = nn.Conv2d(inputs, sum(channels), 1)
        self.register_buffer("mean", torch.zeros(sum(channels)))
        self.register_buffer("deviation", torch.ones(sum(channels)))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the cells."""
        cells: torch.Tensor = self.layer(maps) * self.deviation[:, None, None] + self.mean[:, None, None]
        return cells

    def standardise(self, cells: torch.Tensor) -> None:
        """Take mean and deviation of the teacher's cells, so that each of their channels weighs the same."""
        sample = cells[:: max(1, len(cells) // 2000)].float()
        self.mean.copy_(sample.mean(dim=(0, 2, 3)))
        self.deviation.copy_(sample.std(dim=(0, 2, 3)) + MIN_DEVIATION)

    def loss(self, maps: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error against a teacher's cells, in units of their variance, a scalar."""
        return F.mse_loss(
            self.layer(maps), (cells - self.mean[:, None, None]) / self.deviation[:, None, None]
        )


class Guard(nn.Module):
    """Patch memory and detector over two feature maps.

    Args:
        channels: channels of the map at stride 8 (0: the architecture has none) and of the one at stride 16.
        prototypes: number of prototypes of the memory.
        regressor: predicts cells of these channels from the maps; None: the maps themselves are looked at.

    Shapes: maps float ``(n, c, h, w)``, the finer one first, to novelty float ``(n,)`` and features float
    ``(n, CELL_FEATURES * cells)``.
    """

    prototypes: torch.Tensor
    offset: torch.Tensor
    scale: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor
    projection: torch.Tensor

    def __init__(
        self, channels: tuple[int, int], prototypes: int, regressor: Regressor | None = None
    ) -> None:
        super().__init__()
        self.channels = channels
        self.regressor = regressor
        width = sum(channels)
        self.register_buffer("prototypes", torch.zeros(prototypes, channels[1]))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        # Memory, then detector: novelty = max((measure - offset) * scale).
        self.register_buffer("offset", torch.zeros(2))
        self.register_buffer("scale", torch.ones(2))
        # Applied to cells minus ``mean``.
        self.register_buffer("projection", torch.zeros(CELL_FEATURES, width))
        self.detector = nn.Sequential(
            nn.Conv2d(width, DETECTOR_WIDTH, 1),
            nn.ReLU(),
            nn.Conv2d(DETECTOR_WIDTH, DETECTOR_WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(DETECTOR_WIDTH, 1, 1),
        )

    def cells(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Return the maps side by side on the coarser grid, each cell of each map of length 1, ``(n, c, h, w)``."""
        parts = on_one_grid(maps)
        if self.regressor is not None:
            widths = [width for width in self.channels if width]
            parts = list(self.regressor(torch.cat(parts, dim=1)).split(widths, dim=1))
        return torch.cat([part / (part.norm(dim=1, keepdim=True) + EPSILON) for part in parts], dim=1)

    def measures(self, cells: torch.Tensor) -> torch.Tensor:
        """Return what memory and detector say of ``cells``, unscaled, float ``(n, 2)``."""
        grid = cells[:, self.channels[0] :]
        flat = grid.flatten(2).transpose(1, 2)
        nearest = (flat @ self.prototypes.T).amax(dim=2)
        return torch.stack([self.worst(1.0 - nearest), self.worst(self.detect(cells).flatten(1))], dim=1)

    def detect(self, cells: torch.Tensor) -> torch.Tensor:
        """Return the detector's logit of each cell, float ``(n, 1, h, w)``."""
        logits: torch.Tensor = self.detector(
            (cells - self.mean[:, None, None]) / self.deviation[:, None, None]
        )
        return logits

    @staticmethod
    def worst(values: torch.Tensor) -> torch.Tensor:
        """Mean of the largest tenth of each row, one value at least: ``(n, cells)`` to ``(n,)``."""
        count = max(1, math.ceil(WORST_SHARE * values.shape[1]))
        return values.topk(count, dim=1).values.mean(dim=1)

    def features(self, cells: torch.Tensor) -> torch.Tensor:
        """Return the projection of ``cells``, cell by cell, float ``(n, CELL_FEATURES * cells)``."""
        side = -(-max(cells.shape[2:]) // MAX_GRID)
        if side > 1:
            cells = F.avg_pool2d(cells, side, ceil_mode=True, count_include_pad=False)
        return F.conv2d(cells - self.mean[:, None, None], self.projection[:, :, None, None]).flatten(1)

    def forward(self, maps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return novelty and features."""
        cells = self.cells(maps)
        novelty = ((self.measures(cells) - self.offset) * self.scale).amax(dim=1)
        return novelty, self.features(cells)


def on_one_grid(maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Average the finer maps down to the grid of the last one."""
    coarse = maps[-1]
    return [
        finer if finer is coarse else F.avg_pool2d(finer, 3, stride=2, padding=1, count_include_pad=False)
        for finer in maps
    ]


class GuardedClassifier(nn.Module):
    """A classifier and its guard: uint8 crops to logits, novelty and features.

    Shapes: crops ``(n, h, w, c)`` to float ``(n, classes)``, ``(n,)`` and ``(n, d)``.

    Args:
        classifier: the trained model.
        guard: fitted to its feature maps.
        layers: names of the modules of ``classifier`` that make them, as of ``guard_layers``.
    """

    def __init__(self, classifier: JointClassifier, guard: Guard, layers: tuple[str, ...]) -> None:
        super().__init__()
        self.classifier = classifier
        self.guard = guard
        self.layers = layers

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Judge crops."""
        with tapped(self.classifier, self.layers) as maps:
            logits = self.classifier(crops)
        return logits, *self.guard([maps[name] for name in self.layers])


@contextmanager
def tapped(model: nn.Module, layers: tuple[str, ...]) -> Iterator[dict[str, torch.Tensor]]:
    """Keep the feature maps of these modules in the passes within the block, channels first."""
    maps: dict[str, torch.Tensor] = {}
    modules = dict(model.named_modules())

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            maps[name] = output

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in layers]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def guard_layers(
    model: JointClassifier, crop_shape: tuple[int, int, int]
) -> tuple[tuple[str, ...], tuple[int, int]]:
    """Find the modules whose maps a guard looks at: the last ones at stride 8 and at stride 16.

    Of several modules with a map of that size the outermost counts, then the last to run. An architecture without
    stride 16 gives its last map of at least ``MIN_GRID`` cells a side alone; one without any gives none.

    Args:
        model: in evaluation mode.
        crop_shape: ``(height, width, channels)`` in pixels.

    Returns:
        Names of the modules, the finer map's first, and the channels of both maps, 0 for one that is missing.
    """
    found: list[tuple[str, tuple[int, ...]]] = []

    def noted(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4:
                found.append((name, tuple(output.shape)))

        return hook

    handles = [module.register_forward_hook(noted(name)) for name, module in model.named_modules() if name]
    try:
        model(torch.zeros((2, *crop_shape), dtype=torch.uint8))
    finally:
        for handle in handles:
            handle.remove()
    height, width = crop_shape[:2]

    def last_at(stride: int) -> tuple[str, int] | None:
        fitting = [
            (name, shape[1])
            for name, shape in found
            if abs(shape[2] - height / stride) < 1
            and abs(shape[3] - width / stride) < 1
            and shape[2] >= MIN_GRID
        ]
        depth = min((name.count(".") for name, _ in fitting), default=0)
        return next(((name, count) for name, count in reversed(fitting) if name.count(".") == depth), None)

    fine, coarse = (last_at(stride) for stride in STRIDES)
    if coarse is None:
        wide = [(name, shape[1]) for name, shape in found if min(shape[2:]) >= MIN_GRID]
        if not wide:
            return (), (0, 0)
        return (wide[-1][0],), (0, wide[-1][1])
    if fine is None:
        return (coarse[0],), (0, coarse[1])
    return (fine[0], coarse[0]), (fine[1], coarse[1])
