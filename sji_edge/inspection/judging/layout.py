"""Where the joints of a frame are: in a recipe's boxes, or the image is the one joint."""

from dataclasses import dataclass
from typing import Protocol

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
from sji_edge.recipe.align.alignment import Aligner, AlignmentFailure
from sji_edge.recipe.align.refine import Refiner
from sji_edge.recipe.board import Recipe

MAX_SHRINK = 12
"""An image more than so many times the crop's side is a camera's frame, not a picture of one joint."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """A frame's joints: crop maps float64 ``(n, 2, 3)``, and bool ``(n,)`` for those within the frame."""

    maps: Matrix
    inside: NDArray[np.bool_]
    residual_px: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Thresholds of every joint of a layout, float64 ``(n,)`` each."""

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


class Layout(Protocol):
    """The joints that every frame of a run is expected to show."""

    @property
    def recipe_sha256(self) -> str:
        """The recipe's hash; empty without one."""

    @property
    def limits(self) -> Limits:
        """The joints' thresholds."""

    def names(self, frame: Frame) -> tuple[str, ...]:
        """Reference designators, in the order of ``limits`` and of the maps."""

    def checks(self, *, live: bool) -> FrameChecks:
        """The checks of one stream's frames, from its first one on; ``live`` also finds frozen frames."""

    def joint_checks(self) -> HiddenJoints:
        """The check of whether each joint can be seen."""

    def place(self, pixels: Image) -> Placement | Fault:
        """Find the joints in a frame that passed its checks."""


class RecipeLayout:
    """The joints of a recipe, placed by its fiducials.

    Args:
        recipe: the board description.
        spec: the model's crop.
        thresholds: for the joints that the recipe gives none of their own.
    """

    def __init__(self, recipe: Recipe, spec: PreprocessSpec, thresholds: Thresholds) -> None:
        self._board = recipe.board
        self._golden = recipe.golden
        self._aligner = Aligner(recipe.board, recipe.golden)
        self._spec = spec
        self._names = tuple(recipe.names)
        self._rois = recipe.rois
        self._refiner = None
        if recipe.board.refine is not None and recipe.golden is not None:
            self._refiner = Refiner(recipe.board.refine, recipe.golden, recipe.rois)
        self._limits = Limits(
            np.array([joint.lower or thresholds.lower for joint in recipe.joints]),
            np.array([joint.upper or thresholds.upper for joint in recipe.joints]),
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
        """The recipe's reference designators."""
        del frame
        return self._names

    def checks(self, *, live: bool) -> FrameChecks:
        """Check the recipe's frame size and limits, compared with its golden image."""
        return FrameChecks(self._board.frame, self._board.checks, self._golden, live=live)

    def joint_checks(self) -> HiddenJoints:
        """Compares each joint with what the golden image shows in its box."""
        return HiddenJoints(self._spec, self._golden, crops_to_image(self._rois, self._spec))

    def place(self, pixels: Image) -> Placement | Fault:
        """Align the frame and carry the recipe's boxes over."""
        found = self._aligner.align(pixels)
        if isinstance(found, AlignmentFailure):
            return Fault(Cause.ALIGNMENT, found.reason)
        maps = crops_to_image(self._rois, self._spec, found.matrix)
        if self._refiner is not None:
            maps[:, :, 2] += self._refiner.offsets(pixels, found.matrix) @ found.matrix[:, :2].T
        return Placement(maps, ~outside_frame(maps, self._spec, pixels.shape), found.residual_px)


class ImageLayout:
    """Each image is one joint, and the board is that image.

    Args:
        spec: the model's crop.
        thresholds: the engine's.
    """

    def __init__(self, spec: PreprocessSpec, thresholds: Thresholds) -> None:
        self._spec = spec
        self._limits = Limits(np.array([thresholds.lower]), np.array([thresholds.upper]))

    @property
    def recipe_sha256(self) -> str:
        """There is no recipe."""
        return ""

    @property
    def limits(self) -> Limits:
        """The engine's thresholds."""
        return self._limits

    def names(self, frame: Frame) -> tuple[str, ...]:
        """The frame's name, with path and suffix: ``a/pad.png``, ``b/pad.png`` and ``pad.tif`` are three joints."""
        return (frame.name,)

    def checks(self, *, live: bool) -> FrameChecks:
        """Accept any size."""
        return FrameChecks(live=live)

    def joint_checks(self) -> HiddenJoints:
        """There is no golden image to compare with."""
        return HiddenJoints(self._spec)

    def place(self, pixels: Image) -> Placement | Fault:
        """Take the whole image, as ``core.preprocess.crop_of_image`` does; a camera's whole frame is no joint."""
        height, width = pixels.shape[:2]
        if width > MAX_SHRINK * self._spec.width or height > MAX_SHRINK * self._spec.height:
            found = f"{width}x{height} for a crop of {self._spec.width}x{self._spec.height}"
            return Fault(Cause.WRONG_SIZE, f"{found} is no single joint; a board needs its recipe (--recipe)")
        box = whole_image_roi(pixels)
        roi = np.array([[box.x, box.y, box.width, box.height, box.angle_rad]])
        return Placement(crops_to_image(roi, self._spec), np.ones(1, np.bool_))
