"""Maps a board's millimetres to the camera's pixels: fitted to fiducials, or given by an origin and a scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sji_edge.core.errors import RecipeError
from sji_edge.core.preprocess import Matrix
from sji_edge.recipe.align.alignment import apply, fit_similarity
from sji_edge.recipe.importing.centroid import Part, Side
from sji_edge.recipe.problem import Problem

MAX_DISAGREEMENT_PX = 3.0
MAX_SCALE_DISAGREEMENT = 0.02
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Anchor:
    """A known point: a part's name or a place in mm, and its pixel where that is known."""

    refdes: str = ""
    mm: Point | None = None
    px: Point | None = None

    @classmethod
    def parse(cls, text: str) -> "Anchor":
        """Read ``FID1``, ``FID1=24,2024``, ``2.5,3`` or ``2.5,3=24,2024``.

        Raises:
            RecipeError: it is none of them.
        """
        place, equals, pixel = (part.strip() for part in text.partition("="))
        mm, px = parse_point(place), parse_point(pixel)
        if not place or (equals and px is None) or ("," in place and mm is None):
            raise RecipeError(
                f"cannot read the point {text!r}",
                hint="write FID1=24,2024 or X,Y=24,2024 (board's mm = pixels)",
            )
        return cls("" if mm else place, mm, px)


@dataclass(frozen=True, slots=True)
class CameraView:
    """How the board is seen.

    ``scale`` is in px/mm and ``origin`` in px; both are fitted where every anchor has a pixel. ``points`` are further
    known points that only verify the fit.
    """

    frame: tuple[int, int]
    anchors: tuple[Anchor, ...]
    side: Side = "top"
    scale: float | None = None
    origin: Point | None = None
    fiducial_mm: float = 1.0
    bright: bool = True
    points: tuple[Anchor, ...] = ()


def parse_point(text: str) -> Point | None:
    """Read ``12.5,3``; None where it is not two numbers."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def as_seen(point: Point, side: Side) -> Point:
    """Return a place in mm as the side's camera sees it, y downwards."""
    return (point[0] if side == "top" else -point[0]), -point[1]


def scale_and_turn(matrix: Matrix) -> tuple[float, float]:
    """Return px/mm, and the turn in degrees from x towards y, of a map without reflection."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return scale, math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))


def anchor_places(parts: Sequence[Part], view: CameraView) -> tuple[list[Point], list[Problem]]:
    """Return the anchors' places in mm as the camera sees them, and what is wrong with the anchors."""
    problems = []
    if not 2 <= len(view.anchors) <= 4:
        problems.append(Problem(f"an import needs two to four fiducials (got {len(view.anchors)})"))
    pixels = [anchor.px for anchor in view.anchors]
    if view.origin is not None and any(pixels):
        problems.append(Problem("give either an origin or fiducials with pixels, not both"))
    if view.origin is None and not all(pixels):
        problems.append(Problem("fiducials without a pixel need an origin, which gives the board's position"))
    if view.origin is not None and view.scale is None:
        problems.append(Problem("an origin needs a scale"))
    places, faults = places_of(view.anchors, parts, view.side)
    problems += faults
    if len(set(places)) < len(places):
        problems.append(Problem("two fiducials lie at the same place"))
    return places, problems


def places_of(
    anchors: Sequence[Anchor], parts: Sequence[Part], side: Side
) -> tuple[list[Point], list[Problem]]:
    """Look up known points: their places in mm as the camera sees them, and what is wrong with them."""
    by_name: dict[str, list[Part]] = {}
    for part in parts:
        by_name.setdefault(part.refdes, []).append(part)
    places, problems = [], []
    for anchor in anchors:
        found = by_name.get(anchor.refdes, [])
        here = [part for part in found if part.side == side]
        if anchor.mm is not None:
            places.append(as_seen(anchor.mm, side))
        elif not found:
            problems.append(
                Problem(f"the table has no part {anchor.refdes}, which a fiducial or point names")
            )
        elif not here:
            problems.append(
                Problem(f"line {found[0].line}: fiducial {anchor.refdes} is on the {found[0].side} side")
            )
        elif len(here) > 1:
            lines = " and ".join(str(part.line) for part in here)
            problems.append(Problem(f"{anchor.refdes} is on lines {lines}; give its place in mm instead"))
        else:
            places.append(as_seen((here[0].x_mm, here[0].y_mm), side))
    return places, problems


def fit_view(places: list[Point], view: CameraView) -> tuple[Matrix, float]:
    """Return the map from seen mm to pixels, float64 ``(2, 3)``, and the largest disagreement in pixels.

    Raises:
        RecipeError: the fiducials disagree with each other, or with the given scale.
    """
    if view.origin is not None and view.scale is not None:
        return np.array([[view.scale, 0.0, view.origin[0]], [0.0, view.scale, view.origin[1]]]), 0.0
    matrix, residual = _fit(places, view)
    scale, _ = scale_and_turn(matrix)
    if residual > MAX_DISAGREEMENT_PX:
        mirrored = mirrored_fit(places, view)
        reason = (
            "they would agree if the board were mirrored: check the sign of X in the table, the side, and whether "
            "the camera mirrors its image"
            if mirrored is not None
            else "check their pixels, and the side: the other one is mirrored"
        )
        raise RecipeError(
            f"the fiducials disagree by {residual:.1f} px (limit {MAX_DISAGREEMENT_PX:g} px)", hint=reason
        )
    if view.scale is not None and not abs(scale / view.scale - 1.0) <= MAX_SCALE_DISAGREEMENT:
        raise RecipeError(
            f"the fiducials give {scale:.4g} px/mm, but the scale is set to {view.scale:g} px/mm"
            + _unit_guess(scale / view.scale),
            hint="correct one of them",
        )
    return matrix, residual


def mirrored_fit(places: list[Point], view: CameraView) -> Matrix | None:
    """Return the fit of the board mirrored in x, for places with x of the other sign; None where it does not fit."""
    if view.origin is not None:
        return None
    matrix, residual = _fit([(-x, y) for x, y in places], view)
    return matrix if residual <= MAX_DISAGREEMENT_PX else None


def _fit(places: list[Point], view: CameraView) -> tuple[Matrix, float]:
    source, target = np.array(places), np.array([anchor.px for anchor in view.anchors])
    matrix = fit_similarity(source, target)
    return matrix, float(np.hypot(*(apply(matrix, source) - target).T).max())


def _unit_guess(ratio: float) -> str:
    """Say which unit the table's lengths seem to have, from how many times too large the scale is."""
    for unit, factor in (("inches", 25.4), ("mils", 0.0254)):
        if abs(ratio / factor - 1.0) <= MAX_SCALE_DISAGREEMENT:
            return f" (are the table's lengths in {unit}?)"
    return ""
