"""Locates the joints of a frame: in the boxes of a recipe, or the whole image is one joint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import (
    Image,
    Matrix,
    crops_to_image,
    outside_frame,
    whole_image_roi,
)
from sji_edge.core.protocols import Frame
from sji_edge.core.verdict import Thresholds
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.inspection.judging.frame_checks import FrameChecks
from sji_edge.inspection.judging.hidden_joints import HiddenJoints
from sji_edge.inspection.judging.places import Places
from sji_edge.inspection.judging.skip_marks import SkipMarks, Skips
from sji_edge.recipe.align.alignment import Aligner, AlignmentFailure
from sji_edge.recipe.align.refine import Refiner
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.panel import Unit

MAX_SHRINK = 12
"""An image that exceeds the crop's side by more than this factor is a camera frame, not a picture of one joint."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Where a frame's joints are: crop maps, float64 ``(n, 2, 3)``, and which lie within the frame, bool ``(n,)``.

    ``alignment`` is the transform from recipe to frame pixels, float64 ``(2, 3)``; None without a recipe. ``skips``
    says which units of a panel are marked to be skipped; their joints do not count as within the frame.
    """

    maps: Matrix
    inside: NDArray[np.bool_]
    residual_px: float | None = None
    alignment: Matrix | None = None
    skips: Skips | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Thresholds of all joints of a layout, float64 ``(n,)`` each; ``novelty`` is None for a model without a guard."""

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    novelty: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, lower: Sequence[float], upper: Sequence[float], thresholds: Thresholds) -> Self:
        """Make limits from each joint's PASS and FAIL limit, and the guard's limit, which all joints share."""
        limit = thresholds.novelty
        return cls(
            np.array(lower),
            np.array(upper),
            None if limit is None else np.full(len(lower), limit, np.float64),
        )


class Layout(Protocol):
    """The joints that every frame of a run must show."""

    @property
    def recipe_sha256(self) -> str:
        """The recipe's hash; empty without a recipe."""

    @property
    def product(self) -> str:
        """The recipe's name of the product; empty without a recipe."""

    @property
    def recipe_version(self) -> str:
        """The recipe's version; empty without one."""

    @property
    def limits(self) -> Limits:
        """The joints' thresholds."""

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units of a panel; none for a single board."""

    @property
    def unit_of(self) -> NDArray[np.intp]:
        """Index of each joint's unit; zeros for a single board."""

    def names(self, frame: Frame) -> tuple[str, ...]:
        """Return the reference designators, in the order of ``limits`` and of the maps."""

    def checks(self, *, live: bool) -> FrameChecks:
        """Return the checks for the frames of one stream; with ``live``, they also find frozen frames."""

    @property
    def places(self) -> Places | None:
        """What is usual at each joint's place; None where no boards were enrolled."""

    @property
    def max_unlike_share(self) -> float:
        """Share of the joints that may be unlike their place before the board counts as a wrong one."""

    def joint_checks(self) -> HiddenJoints:
        """Return the check that finds joints that cannot be seen."""

    def place(self, pixels: Image) -> Placement | Fault:
        """Locate the joints in a frame that passed its checks."""

    def rehearsal(self) -> tuple[Image, Placement] | None:
        """Return a frame of noise with all joints, to warm up without a golden image; None if any size may come."""


class RecipeLayout:
    """The joints of a recipe, located by its fiducials.

    Args:
        recipe: the board description.
        spec: the model's crop.
        thresholds: for joints without their own thresholds in the recipe.
        places: what the enrolled boards show at each joint's place, as this engine sees it.
    """

    def __init__(
        self, recipe: Recipe, spec: PreprocessSpec, thresholds: Thresholds, places: Places | None = None
    ) -> None:
        self.places = places
        self.max_unlike_share = recipe.board.checks.max_unlike_share
        self.product = recipe.board.name
        self.recipe_version = recipe.board.version
        self.units = recipe.board.units
        self.unit_of = recipe.unit_of
        self._skip_marks = None
        if recipe.golden is not None and any(unit.skip is not None for unit in self.units):
            self._skip_marks = SkipMarks(self.units, recipe.golden)
        self._board = recipe.board
        self._golden = recipe.golden
        self._aligner = Aligner(recipe.board, recipe.golden)
        self._spec = spec
        self._names = tuple(recipe.names)
        self._rois = recipe.rois
        self._refiner = None
        if recipe.board.refine is not None and recipe.golden is not None:
            self._refiner = Refiner(recipe.board.refine, recipe.golden, recipe.rois)
        self._limits = Limits.of(
            [joint.lower or thresholds.lower for joint in recipe.joints],
            [joint.upper or thresholds.upper for joint in recipe.joints],
            thresholds,
        )
        self._sha256 = recipe.sha256

    @property
    def recipe_sha256(self) -> str:
        """The recipe's hash."""
        return self._sha256

    @property
    def limits(self) -> Limits:
        """The joints' thresholds."""
        return self._limits

    def names(self, frame: Frame) -> tuple[str, ...]:
        """Return the recipe's reference designators."""
        del frame
        return self._names

    def checks(self, *, live: bool) -> FrameChecks:
        """Return checks of the recipe's frame size and limits, compared with its golden image."""
        return FrameChecks(self._board.frame, self._board.checks, self._golden, live=live)

    def joint_checks(self) -> HiddenJoints:
        """Return a check that compares each joint with what the golden image shows in its box."""
        return HiddenJoints(self._spec, self._golden, crops_to_image(self._rois, self._spec))

    def place(self, pixels: Image) -> Placement | Fault:
        """Align the frame and map the recipe's boxes onto it."""
        found = self._aligner.align(pixels)
        if isinstance(found, AlignmentFailure):
            return Fault(Cause.ALIGNMENT, found.reason)
        maps = crops_to_image(self._rois, self._spec, found.matrix)
        if self._refiner is not None:
            maps[:, :, 2] += self._refiner.offsets(pixels, found.matrix) @ found.matrix[:, :2].T
        inside = ~outside_frame(maps, self._spec, pixels.shape)
        if self._skip_marks is None:
            return Placement(maps, inside, found.residual_px, found.matrix)
        skips = self._skip_marks.find(pixels, found.matrix)
        if skips.skipped.all():
            return Fault(Cause.ALL_SKIPPED, f"all {len(self.units)} units are marked")
        inside &= ~skips.skipped[self.unit_of]
        return Placement(maps, inside, found.residual_px, found.matrix, skips)

    def rehearsal(self) -> tuple[Image, Placement] | None:
        """Return smooth grey noise of the board's size, with the joints where the recipe has them."""
        width, height = self._board.frame
        coarse = np.random.default_rng(0).integers(0, 256, (height // 8 + 2, width // 8 + 2), dtype=np.uint8)
        pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).astype(
            np.uint8, copy=False
        )
        maps = crops_to_image(self._rois, self._spec)
        return pixels, Placement(maps, ~outside_frame(maps, self._spec, pixels.shape))


def unit_maps(layout: Layout, placement: Placement) -> list[Matrix]:
    """Return the maps from each unit's to frame pixels, float64 ``(2, 3)`` each."""
    alignment = np.eye(2, 3) if placement.alignment is None else placement.alignment
    maps = []
    for unit in layout.units:
        onto = alignment[:, :2] @ unit.to_panel
        onto[:, 2] += alignment[:, 2]
        maps.append(onto)
    return maps


class ImageLayout:
    """Each image shows one joint and counts as a board.

    Args:
        spec: the model's crop.
        thresholds: the engine's.
    """

    def __init__(self, spec: PreprocessSpec, thresholds: Thresholds) -> None:
        self._spec = spec
        self._limits = Limits.of([thresholds.lower], [thresholds.upper], thresholds)
        self.places: Places | None = None
        self.product = self.recipe_version = ""
        self.units: tuple[Unit, ...] = ()
        self.unit_of = np.zeros(1, np.intp)
        self.max_unlike_share = 1.0

    @property
    def recipe_sha256(self) -> str:
        """Empty: there is no recipe."""
        return ""

    @property
    def limits(self) -> Limits:
        """The engine's thresholds."""
        return self._limits

    def names(self, frame: Frame) -> tuple[str, ...]:
        """Return the frame's name with path and suffix: ``a/pad.png``, ``b/pad.png``, ``pad.tif`` are three joints."""
        return (frame.name,)

    def checks(self, *, live: bool) -> FrameChecks:
        """Return checks that accept any size."""
        return FrameChecks(live=live)

    def joint_checks(self) -> HiddenJoints:
        """Return a check without a golden image."""
        return HiddenJoints(self._spec)

    def place(self, pixels: Image) -> Placement | Fault:
        """Take the whole image, as ``core.preprocess.crop_of_image`` does, unless it is as large as a camera frame."""
        height, width = pixels.shape[:2]
        if width > MAX_SHRINK * self._spec.width or height > MAX_SHRINK * self._spec.height:
            return Fault(
                Cause.WRONG_SIZE,
                f"{width}x{height} pixels look like a whole board, not a joint of "
                f"{self._spec.width}x{self._spec.height}; name the board's recipe",
            )
        box = whole_image_roi(pixels)
        roi = np.array([[box.x, box.y, box.width, box.height, box.angle_rad]])
        return Placement(crops_to_image(roi, self._spec), np.ones(1, np.bool_))

    def rehearsal(self) -> tuple[Image, Placement] | None:
        """Return None: the images have no common size."""
        return None
