"""How a board's millimetres lie in the camera's pixels: fitted to fiducials, or given by an origin and a scale."""

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
    """A fiducial: a part's name or its place in mm, and its pixel where that is known."""

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
                f"{text!r} is no fiducial", hint="wanted: FID1=24,2024 or X,Y=24,2024 (board's mm = pixels)"
            )
        return cls("" if mm else place, mm, px)


@dataclass(frozen=True, slots=True)
class CameraView:
    """How the board is seen. ``scale`` is in px/mm and ``origin`` in px; fitted where every anchor has a pixel."""

    frame: tuple[int, int]
    anchors: tuple[Anchor, ...]
    side: Side = "top"
    scale: float | None = None
    origin: Point | None = None
    fiducial_mm: float = 1.0
    bright: bool = True


def parse_point(text: str) -> Point | None:
    """Read ``12.5,3``; None where it is not two numbers."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def as_seen(point: Point, side: Side) -> Point:
    """A place in mm as the side's camera sees it, y downwards."""
    return (point[0] if side == "top" else -point[0]), -point[1]


def anchor_places(parts: Sequence[Part], view: CameraView) -> tuple[list[Point], list[Problem]]:
    """The anchors' places as the camera sees them, in mm."""
    by_name = {part.refdes: part for part in parts}
    findings = []
    if len(view.anchors) < 2:
        findings.append(Problem(f"{len(view.anchors)} fiducials; two to four were wanted"))
    pixels = [anchor.px for anchor in view.anchors]
    if view.origin is not None and any(pixels):
        findings.append(Problem("an origin and fiducials with pixels; one of them was wanted"))
    if view.origin is None and not all(pixels):
        findings.append(Problem("fiducials without a pixel need an origin, which says where the board lies"))
    if view.origin is not None and view.scale is None:
        findings.append(Problem("an origin needs a scale"))
    places = []
    for anchor in view.anchors:
        part = by_name.get(anchor.refdes)
        if anchor.mm is not None:
            places.append(as_seen(anchor.mm, view.side))
        elif part is None:
            findings.append(Problem(f"no part {anchor.refdes}, which is to be a fiducial"))
        elif part.side != view.side:
            findings.append(Problem(f"line {part.line}: fiducial {part.refdes} is on the {part.side} side"))
        else:
            places.append(as_seen((part.x_mm, part.y_mm), view.side))
    if len(set(places)) < len(places):
        findings.append(Problem("two fiducials lie at the same place"))
    return places, findings


def fit_view(places: list[Point], view: CameraView) -> tuple[Matrix, float]:
    """The map from seen mm to pixels, 2 × 3, and the largest disagreement in pixels.

    Raises:
        RecipeError: the fiducials disagree with each other, or with the scale that was given.
    """
    if view.origin is not None and view.scale is not None:
        return np.array([[view.scale, 0.0, view.origin[0]], [0.0, view.scale, view.origin[1]]]), 0.0
    source, target = np.array(places), np.array([anchor.px for anchor in view.anchors])
    matrix = fit_similarity(source, target)
    residual = float(np.hypot(*(apply(matrix, source) - target).T).max())
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if residual > MAX_DISAGREEMENT_PX:
        raise RecipeError(
            f"the fiducials disagree by {residual:.1f} px; {MAX_DISAGREEMENT_PX:g} px at most were wanted",
            hint="check their pixels, and --side: the other side is mirrored",
        )
    if view.scale is not None and not abs(scale / view.scale - 1.0) <= MAX_SCALE_DISAGREEMENT:
        raise RecipeError(
            f"the fiducials say {scale:.4g} px/mm, --scale {view.scale:g}", hint="correct one of them"
        )
    return matrix, residual
