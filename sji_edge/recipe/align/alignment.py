"""Align a frame to its recipe: fit a transform to the fiducials, or say why that failed.

It never falls back to the identity: a board whose fiducials are not found is not judged.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image, Matrix
from sji_edge.recipe.board import Board
from sji_edge.recipe.fiducials.find import FiducialFinder
from sji_edge.recipe.fiducials.marks import Mark
from sji_edge.recipe.limits import AlignmentLimits

Points = NDArray[np.float64]
_COMPLEX = np.array([1, 1j])


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A fitted transform.

    ``matrix`` is float64 ``(2, 3)``, from recipe to frame pixels; ``residual_px`` is the largest distance between a
    fiducial and the place where the transform puts it; ``shift_px`` is how far the fiducials' centre moved.
    """

    matrix: Matrix
    residual_px: float
    shift_px: float
    rotation_deg: float
    scale: float
    fiducials: tuple[Mark, ...]
    lost: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AlignmentFailure:
    """The reason why a frame could not be aligned; the board becomes ERROR."""

    reason: str
    residual_px: float | None = None


class Aligner:
    """Fits the transform of one board type to its frames.

    Args:
        board: fiducials, transform and limits.
        golden: the golden image, uint8 grey or BGR; only template fiducials need it.

    Raises:
        RecipeError: a template cannot be located; see ``FiducialFinder``.
    """

    def __init__(self, board: Board, golden: Image | None = None) -> None:
        self._board = board
        self._finder = FiducialFinder(board.fiducials, golden)

    def align(self, frame: Image) -> Alignment | AlignmentFailure:
        """Fit the transform to the fiducials of one frame.

        Args:
            frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``, of the board's frame size.

        Returns:
            The alignment; or a failure if too many fiducials are lost or a limit is exceeded.
        """
        limits = self._board.alignment
        candidates = self._finder.find(frame)
        lost = tuple(number for number, found in enumerate(candidates) if not found)
        if len(lost) > limits.max_lost:
            plural = "s" if len(lost) > 1 else ""
            return AlignmentFailure(f"fiducial{plural} {', '.join(map(str, lost))} not found")
        places = np.array(
            [(mark.x, mark.y) for mark, found in zip(self._board.fiducials, candidates, strict=True) if found]
        )
        choices = itertools.product(*(found for found in candidates if found))
        fits = [_fit(places, choice, limits, lost) for choice in choices]
        # With several marks in one window, the set that keeps the board's shape is the right one.
        best = fits[0] if len(fits) == 1 else min(fits, key=_misshape(places))
        excess = _excess(best, limits)
        return AlignmentFailure(excess, best.residual_px) if excess else best


def fit_similarity(source: Points, target: Points) -> Matrix:
    """Least-squares rotation, uniform scale and shift without reflection, float64 ``(2, 3)``.

    Args:
        source: ``(n, 2)``, n ≥ 2 distinct points.
        target: ``(n, 2)``, where they were found.
    """
    p, q = source @ _COMPLEX, target @ _COMPLEX
    centred = p - p.mean()
    turn = np.vdot(centred, q - q.mean()) / np.vdot(centred, centred).real
    shift = q.mean() - turn * p.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def fit_affine(source: Points, target: Points) -> Matrix:
    """Least-squares affine map, float64 ``(2, 3)``; ``source`` holds at least three points that are not on one line."""
    design = np.column_stack([source, np.ones(len(source))])
    return np.asarray(np.linalg.lstsq(design, target, rcond=None)[0].T, dtype=np.float64)


def apply(matrix: Matrix, points: Points) -> Points:
    """Map ``(n, 2)`` points."""
    mapped: Points = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped


def _fit(places: Points, marks: Sequence[Mark], limits: AlignmentLimits, lost: tuple[int, ...]) -> Alignment:
    found = np.array([(mark.x, mark.y) for mark in marks])
    matrix = (fit_similarity if limits.model == "similarity" else fit_affine)(places, found)
    residual = np.hypot(*(apply(matrix, places) - found).T)
    middle = places.mean(axis=0, keepdims=True)
    (xx, xy), (yx, yy) = matrix[:, :2].tolist()
    return Alignment(
        matrix=matrix,
        residual_px=float(residual.max()),
        shift_px=float(np.hypot(*(apply(matrix, middle) - middle)[0])),
        rotation_deg=math.degrees(math.atan2(yx - xy, xx + yy)),
        scale=_furthest_stretch(xx, xy, yx, yy),
        fiducials=tuple(marks),
        lost=lost,
    )


def _misshape(places: Points) -> Callable[[Alignment], float]:
    spread = float(np.hypot(*(places - places.mean(axis=0)).T).max())
    return lambda fit: fit.residual_px + abs(fit.scale - 1.0) * spread


def _furthest_stretch(xx: float, xy: float, yx: float, yy: float) -> float:
    """Return the singular value furthest from 1; negative for a map that mirrors."""
    # Any 2x2 map is a scaled turn plus a mirrored one; sum and difference of their lengths are the singular values.
    turned, mirrored = math.hypot(xx + yy, yx - xy) / 2, math.hypot(xx - yy, xy + yx) / 2
    stretch = max(turned + mirrored, abs(turned - mirrored), key=lambda length: abs(length - 1.0))
    return stretch if turned > mirrored else -stretch


def _excess(fit: Alignment, limits: AlignmentLimits) -> str:
    """Name the limits that a fit exceeds; empty for none. NaN exceeds every limit."""
    measured = {
        "residual px": (fit.residual_px, limits.max_residual_px),
        "shift px": (fit.shift_px, limits.max_shift_px),
        "rotation deg": (abs(fit.rotation_deg), limits.max_rotation_deg),
        "scale change": (abs(fit.scale - 1.0), limits.max_scale_change),
    }
    return ", ".join(
        f"{name} {value:.3g} (limit {limit:g})"
        for name, (value, limit) in measured.items()
        if not value <= limit
    )
