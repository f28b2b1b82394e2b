"""Review a recipe that could be read: look for its fiducials and joints in its own golden image."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image
from sji_edge.recipe.align.alignment import Aligner, AlignmentFailure, apply
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.box_evidence import FLAT_LEVELS, contrasts
from sji_edge.recipe.fiducials.find import FiducialFinder
from sji_edge.recipe.fiducials.marks import Mark

LEAST_SHARE = 0.01
"""Boxes that share less than this part of the smaller one merely touch."""


@dataclass(frozen=True, slots=True)
class FiducialReview:
    """A fiducial as the golden image shows it.

    ``offset_px`` is the distance from the place in ``board.json``, ``residual_px`` the distance from where the fitted
    transform puts it. All three are None if it was not found; the residual also without a transform.
    """

    shape: str
    offset_px: float | None = None
    residual_px: float | None = None
    contrast: float | None = None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two joints whose boxes overlap by ``share`` of the smaller one."""

    first: str
    second: str
    share: float


@dataclass(frozen=True, slots=True)
class RecipeReview:
    """What was found: ``faults`` prevent the use of the recipe; the rest deserves a look.

    ``confused`` names wrong orientations that the fiducials cannot tell from the right one: a board inserted that way
    would align, and its joints would be judged at the wrong places.
    """

    fiducials: tuple[FiducialReview, ...]
    overlaps: tuple[Overlap, ...]
    flat: tuple[str, ...]
    faults: tuple[str, ...]
    confused: tuple[str, ...] = ()


def review(recipe: Recipe) -> RecipeReview:
    """Align a recipe's golden image as if it were a frame, and examine the joints' boxes.

    Without a golden image, neither fiducials nor the content of boxes is checked.
    """
    overlaps = overlapping(recipe.names, recipe.rois)
    if recipe.golden is None:
        return RecipeReview((), overlaps, (), ())
    fiducials, faults = _fiducials(recipe, recipe.golden)
    confused = confused_with(recipe, recipe.golden)
    return RecipeReview(fiducials, overlaps, flat_joints(recipe, recipe.golden), faults, confused)


def confused_with(recipe: Recipe, golden: Image) -> tuple[str, ...]:
    """Name the orientations of the golden image in which its fiducials still align."""
    aligner = Aligner(recipe.board, golden)
    ways = {"turned by 180°": golden[::-1, ::-1], "mirrored": golden[:, ::-1]}
    return tuple(
        name
        for name, pixels in ways.items()
        if not isinstance(aligner.align(np.ascontiguousarray(pixels)), AlignmentFailure)
    )


def _fiducials(recipe: Recipe, golden: Image) -> tuple[tuple[FiducialReview, ...], tuple[str, ...]]:
    board = recipe.board
    aligned = Aligner(board, golden).align(golden)
    places = np.array([(mark.x, mark.y) for mark in board.fiducials])
    chosen: list[Mark | None]
    residuals: list[float | None] = [None] * len(places)
    faults = []
    if isinstance(aligned, AlignmentFailure):
        chosen = [
            marks[0] if marks else None for marks in FiducialFinder(board.fiducials, golden).find(golden)
        ]
        faults.append(f"golden.png cannot be aligned: {aligned.reason}")
    else:
        found = iter(aligned.fiducials)
        chosen = [None if number in aligned.lost else next(found) for number in range(len(places))]
        for number, (mark, fitted) in enumerate(zip(chosen, apply(aligned.matrix, places), strict=True)):
            residuals[number] = None if mark is None else float(np.hypot(*(fitted - [mark.x, mark.y])))
    reviews = []
    for number, (one, mark) in enumerate(zip(board.fiducials, chosen, strict=True)):
        if mark is None:
            reviews.append(FiducialReview(one.shape))
            continue
        offset = float(np.hypot(mark.x - one.x, mark.y - one.y))
        reviews.append(FiducialReview(one.shape, offset, residuals[number], mark.contrast))
        if offset > board.alignment.max_residual_px:
            # Every coordinate of a recipe refers to golden.png, so nothing may have moved there.
            faults.append(
                f"board.json fiducials.{number} is at ({one.x:g}, {one.y:g}), but golden.png shows it at "
                f"({mark.x:.2f}, {mark.y:.2f})"
            )
    return tuple(reviews), tuple(faults)


def overlapping(names: list[str], rois: NDArray[np.float64]) -> tuple[Overlap, ...]:
    """Find the pairs of boxes that overlap.

    Args:
        names: reference designators of the joints.
        rois: float64 ``(n, 5)``: x, y, width, height in pixels and angle in radians.
    """
    reach = np.hypot(rois[:, 2], rois[:, 3]) / 2
    distance = np.hypot(*(rois[:, None, :2] - rois[None, :, :2]).transpose(2, 0, 1))
    pairs = np.argwhere(np.triu(distance < reach[:, None] + reach[None, :], k=1))
    found = []
    for first, second in pairs.tolist():
        one, other = rois[first], rois[second]
        kind, corners = cv2.rotatedRectangleIntersection(_rectangle(one), _rectangle(other))
        if kind == cv2.INTERSECT_NONE or corners is None:
            continue
        shared = cv2.contourArea(cv2.convexHull(corners))
        share = float(shared / min(one[2] * one[3], other[2] * other[3]))
        if share >= LEAST_SHARE:
            found.append(Overlap(names[first], names[second], share))
    return tuple(found)


def _rectangle(roi: NDArray[np.float64]) -> tuple[tuple[float, float], tuple[float, float], float]:
    x, y, width, height, angle = roi.tolist()
    return (x, y), (width, height), float(np.degrees(angle))


def flat_joints(recipe: Recipe, golden: Image) -> tuple[str, ...]:
    """Name the joints whose box shows nothing in golden: most likely the box is in the wrong place."""
    shown = contrasts(golden, recipe.rois) >= FLAT_LEVELS
    return tuple(name for name, is_shown in zip(recipe.names, shown.tolist(), strict=True) if not is_shown)
