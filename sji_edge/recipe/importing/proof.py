"""Verifies that an import puts the joints in the right places: looks for another reading of the input that fits better.

Two fiducials fit a mirror image of the board as well as the board itself, and four of a rectangle fit a board turned
by 180°. So each mistake that people make is tried as well: X with the wrong sign, a mirroring camera, pixels given in
the wrong order, rotations of the bottom counted from the other side, and lengths in another unit. The golden image
decides where it can: boxes that lie on joints show something there, boxes that lie on the bare board do not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import RecipeError
from sji_edge.core.preprocess import Image, Matrix
from sji_edge.core.text import listing
from sji_edge.recipe.align.alignment import apply
from sji_edge.recipe.box_evidence import FLAT_LEVELS, concentrations, contrasts
from sji_edge.recipe.importing.boxes import joint_boxes
from sji_edge.recipe.importing.camera_view import (
    MAX_DISAGREEMENT_PX,
    CameraView,
    Point,
    mirrored_fit,
    places_of,
    scale_and_turn,
)
from sji_edge.recipe.importing.centroid import Part
from sji_edge.recipe.importing.packages import Packages
from sji_edge.recipe.joints import Joint, NumberedJoint, leaves_frame

CLEAR_SHARE, CLEAR_COUNT = 0.2, 3
"""A reading is clearly better if this share of the boxes, and at least this number, show something in it only."""
CLEAR_WINS, CLEAR_WIN_SHARE, WIN_MARGIN = 8, 0.9, 0.05
"""Or if its boxes lie better on their joints: wins less losses, the share of wins, and what makes a win.

On the real boards that were tried, the right import won or lost against mirrored, turned and shifted ones in 30 % to
70 % of the joints: there, this evidence stays silent.
"""
MAX_BOXES = 2000
"""Boxes that are compared; more add time, not evidence."""
PLAIN_TURN_DEG = 15.0
"""Boards lie in the camera as they are drawn, or turned by less than this."""
MAX_POINT_MM = 0.5
"""Maximum distance of a known point from where the import puts it; people read pixels by eye."""
MIRROR_HINT = (
    "check the sign of X in the table (in KiCad, export without negative X for the bottom), the side, and whether the "
    "camera mirrors its image"
)


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One way to read the input: its joints, or none where it does not fit; ``advice`` says how to import it so."""

    name: str
    advice: str
    joints: tuple[Joint, ...]

    @property
    def rois(self) -> Matrix:
        """Boxes, float64 ``(n, 5)``; of a large board an even sample of them, the same for each hypothesis."""
        step = -(-len(self.joints) // MAX_BOXES)
        return np.array([joint.roi for joint in self.joints[::step]])


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the golden image shows of each box of a hypothesis, in the order of its joints."""

    shown: NDArray[np.bool_]
    concentration: NDArray[np.float64]

    @classmethod
    def of(cls, hypothesis: Hypothesis, golden: Image) -> Self:
        """Measure all boxes."""
        rois = hypothesis.rois
        return cls(contrasts(golden, rois) >= FLAT_LEVELS, concentrations(golden, rois))

    @property
    def empty(self) -> int:
        """How many boxes show nothing."""
        return int(np.count_nonzero(~self.shown))

    def beats(self, other: Self) -> bool:
        """Tell whether this is clearly the better reading of the same joints."""
        joints = len(self.shown)
        if other.empty - self.empty >= max(CLEAR_SHARE * joints, min(CLEAR_COUNT, joints)):
            return True
        if self.empty > other.empty:
            return False
        margin = self.concentration - other.concentration
        wins, losses = np.count_nonzero(margin > WIN_MARGIN), np.count_nonzero(margin < -WIN_MARGIN)
        return bool(wins - losses >= CLEAR_WINS and wins >= CLEAR_WIN_SHARE * (wins + losses))


@dataclass(frozen=True, eq=False)
class Case:
    """The import to verify: the parts of one side, their boxes, and the fitted map from seen mm to pixels."""

    parts: Sequence[Part]
    packages: Packages
    view: CameraView
    places: list[Point]
    matrix: Matrix
    joints: Sequence[NumberedJoint]
    all_parts: Sequence[Part]
    """Of both sides; known points are looked up in them."""

    def given(self) -> Hypothesis:
        """Return the import as the user described it."""
        return Hypothesis("as given", "", tuple(joint for _, joint in self.joints))


def prove(case: Case, golden: Image | None) -> tuple[str, tuple[str, ...]]:
    """Look for evidence against an import.

    Args:
        case: what was imported.
        golden: uint8, grey or BGR, of the frame's size; None where there is none.

    Returns:
        How it was proven, for the user, and warnings.

    Raises:
        RecipeError: a known point lies elsewhere, the golden image supports another hypothesis, or nothing
            distinguishes the board from its mirror image.
    """
    given = case.given()
    mirrored = _mirrored(case)
    by_points = _check_points(case)
    warnings: tuple[str, ...] = ()
    by_golden = False
    if golden is not None:
        evidence = Evidence.of(given, golden)
        for other in (mirrored, _half_turn(case), _other_rotation(case)):
            if other is not None and (found := Evidence.of(other, golden)).beats(evidence):
                raise RecipeError(_against(other, found, evidence), hint=other.advice)
        if evidence.empty > CLEAR_SHARE * len(evidence.shown):
            warnings = (
                f"{evidence.empty} of {len(evidence.shown)} boxes show nothing in golden.png: draw the "
                "recipe and look at it",
            )
        by_golden = mirrored is not None and evidence.beats(Evidence.of(mirrored, golden))
    if mirrored is None:
        return "three or more fiducials, or an origin, distinguish the board from its mirror image", warnings
    if by_points:
        return f"{by_points} distinguishes the board from its mirror image", warnings
    if by_golden:
        return "golden.png distinguishes the board from its mirror image", warnings
    return _by_turn(case, mirrored), warnings


def _against(other: Hypothesis, found: Evidence, given: Evidence) -> str:
    boxes = len(given.shown)
    if given.empty > found.empty:
        return (
            f"golden.png contradicts this import: {given.empty} of {boxes} boxes show nothing in it, but only "
            f"{found.empty} if {other.name}"
        )
    return f"golden.png contradicts this import: more of its {boxes} boxes lie on a joint if {other.name}"


def _by_turn(case: Case, mirrored: Hypothesis) -> str:
    """Tell the board from its mirror image by its orientation; raises ``RecipeError`` if that is not conclusive."""
    _, turn = scale_and_turn(case.matrix)
    other_matrix = mirrored_fit(case.places, case.view)
    other_turn = 0.0 if other_matrix is None else scale_and_turn(other_matrix)[1]
    upright = abs(math.remainder(turn, 360.0)) <= PLAIN_TURN_DEG
    # A mirror image that is turned by 180° is one with y of the other sign: a mistake as common as the other.
    other_upright = abs(math.remainder(other_turn, 180.0)) <= PLAIN_TURN_DEG
    inside = not leaves_frame([(0, joint) for joint in mirrored.joints], case.view.frame, "")
    if upright and not (other_upright and inside):
        return f"the board lies upright (turned by {turn:.1f}°); its mirror image would not"
    ask = "give a third fiducial, or the pixel of any part as a further point; " + MIRROR_HINT
    if other_upright and inside and not upright:
        raise RecipeError(
            f"the fiducials also fit a mirror image: as given, the board lies turned by {turn:.1f}°; mirrored, it "
            "would lie upright",
            hint=ask,
        )
    raise RecipeError(
        f"the fiducials also fit a mirror image, and nothing distinguishes it from the board (turned by {turn:.1f}°)",
        hint=ask,
    )


def _check_points(case: Case) -> str:
    """Compare further known points with the import; returns the names of the conclusive ones, if any."""
    points = case.view.points
    places, problems = places_of(points, case.all_parts, case.view.side)
    missing = [point.refdes or f"{point.mm}" for point in points if point.px is None]
    if problems or missing:
        faults = [problem.text for problem in problems] + [f"point {name} has no pixel" for name in missing]
        raise RecipeError("; ".join(faults), hint="write R5=340,180")
    if not points:
        return ""
    limit = max(MAX_DISAGREEMENT_PX, MAX_POINT_MM * scale_and_turn(case.matrix)[0])
    pixels = np.array([point.px for point in points])
    found = apply(case.matrix, np.array(places))
    away = np.hypot(*(found - pixels).T)
    matrix = mirrored_fit(case.places, case.view)
    other = None if matrix is None else np.hypot(*(apply(matrix, np.array(places) * [-1, 1]) - pixels).T)
    worst = int(away.argmax())
    name = points[worst].refdes or "{:g},{:g}".format(*places[worst])
    if away[worst] > limit:
        mirrored = ": the board is mirrored" if other is not None and other.max() <= limit else ""
        raise RecipeError(
            f"point {name} lies {away[worst]:.1f} px from where the fiducials put it ({found[worst][0]:.0f}, "
            f"{found[worst][1]:.0f}); the limit is {limit:.1f} px{mirrored}",
            hint=MIRROR_HINT if mirrored else "check its pixel and those of the fiducials",
        )
    # A point on the line through the fiducials lies there in the mirror image as well.
    if other is None:
        return ""
    return listing(
        [point.refdes or "a point" for point, far in zip(points, other, strict=True) if far > 2 * limit]
    )


def _mirrored(case: Case) -> Hypothesis | None:
    matrix = mirrored_fit(case.places, case.view)
    if matrix is None:
        return None
    parts = [replace(part, x_mm=-part.x_mm, rotation_deg=-part.rotation_deg) for part in case.parts]
    return _hypothesis("the board is mirrored", MIRROR_HINT, case, parts, matrix)


def _half_turn(case: Case) -> Hypothesis | None:
    """The board turned by 180° about the fiducials' middle, if that puts each fiducial on a fiducial's pixel."""
    if case.view.origin is not None:
        return None
    pixels = np.array([anchor.px for anchor in case.view.anchors])
    turned = 2 * pixels.mean(axis=0) - pixels
    apart = np.hypot(*(turned[:, None] - pixels[None]).transpose(2, 0, 1)).min(axis=1)
    if apart.max() > 2 * MAX_DISAGREEMENT_PX:
        return None
    matrix = -case.matrix
    matrix[:, 2] += 2 * pixels.mean(axis=0)
    advice = "check which fiducial has which pixel"
    return _hypothesis("the board is turned by 180°", advice, case, case.parts, matrix)


def _other_rotation(case: Case) -> Hypothesis | None:
    if case.view.side == "top":
        return None
    parts = [replace(part, rotation_deg=180.0 - part.rotation_deg) for part in case.parts]
    name = "rotations of the bottom are counted from the other side"
    advice = "set the bottom rotation: from-above for KiCad, from-below for tables that count as the camera sees it"
    return _hypothesis(name, advice, case, parts, case.matrix)


def _hypothesis(
    name: str, advice: str, case: Case, parts: Sequence[Part], matrix: Matrix
) -> Hypothesis | None:
    joints, problems = joint_boxes(parts, case.packages, case.view.side, matrix, "")
    return None if problems else Hypothesis(name, advice, tuple(joint for _, joint in joints))
