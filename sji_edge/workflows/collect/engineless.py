"""An inspector without an engine: it checks and aligns frames as ``infer`` does, and judges nothing."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.clock import Clock
from sji_edge.core.files import StrPath
from sji_edge.core.protocols import EngineOutput, EngineSpec
from sji_edge.core.verdict import Thresholds
from sji_edge.inspection.judging.frame_job import Model
from sji_edge.inspection.judging.layout import Layout, RecipeLayout
from sji_edge.recipe.board import Recipe
from sji_edge.workflows.inspect.inspector import Inspector
from sji_edge.workflows.inspect.pool import no_recipe

SPEC = PreprocessSpec()
BATCH = 256


class BlankEngine:
    """Answers every crop with the same logits."""

    @property
    def spec(self) -> EngineSpec:
        """Crops as the checks of joints need them, two classes."""
        return EngineSpec(SPEC.shape, 2, BATCH, "none", "none")

    def infer(self, crops: NDArray[np.uint8]) -> EngineOutput:
        """Return zeros."""
        return EngineOutput(np.zeros((len(crops), 2), np.float32))

    def prepare(self, batch_sizes: Iterable[int]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class EnginelessInspector(Inspector):
    """Passes frames through all checks of ``infer`` and locates their joints. The verdicts of its records mean nothing.

    Args:
        recipe: recipe folder; None for a source that knows its own board.
        clock: for captures and records.
        bit_depth: bits that the samples of 16-bit images use.
    """

    def __init__(self, recipe: StrPath | None, clock: Clock, bit_depth: int | None = None) -> None:
        loaded = None if recipe is None else Recipe.load(Path(recipe), bit_depth)
        self._judge_with(BlankEngine(), loaded, clock, bit_depth)

    def model(self) -> Model:
        """No engine: its hash is empty."""
        return Model(("good", "defective"), 0, SPEC, "")

    def _layout(self, recipe: Recipe | None, *, reference: bool = False) -> Layout:
        del reference
        if recipe is None:
            raise no_recipe()
        return RecipeLayout(recipe, SPEC, Thresholds(lower=0.5, upper=0.5))
