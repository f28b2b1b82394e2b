"""From parts and packages to joints: one box per pin, or one per part, in pixels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sji_edge.core.card import in_one_line
from sji_edge.core.preprocess import Matrix
from sji_edge.recipe.align.alignment import apply
from sji_edge.recipe.importing.camera_view import as_seen, scale_and_turn
from sji_edge.recipe.importing.centroid import Part, Side
from sji_edge.recipe.importing.packages import PackageBox, Packages
from sji_edge.recipe.joints import Joint, NumberedJoint
from sji_edge.recipe.names import folded
from sji_edge.recipe.problem import Problem

SAME_PLACE_MM = 0.05
"""How far the boards of a panel may differ from one another."""


MOUNTING_HOLE = "mountinghole"
"""How KiCad's library names holes, as in MountingHole_3.2mm_M3: they have no joint, and often all the name REF**."""


def is_left_out(part: Part, packages: Packages) -> bool:
    """Tell whether a part is not inspected: its package has no box, or it is an unlisted mounting hole."""
    boxes = packages.get(part.package)
    if boxes is None:
        return part.package.casefold().startswith(MOUNTING_HOLE)
    return all(box.empty for box in boxes)


def unknown_packages(parts: Sequence[Part], packages: Packages, name: str) -> list[Problem]:
    """Name the packages that are not listed, each with its first part."""
    unknown: dict[str, list[Part]] = {}
    for part in parts:
        if part.package not in packages and not is_left_out(part, packages):
            unknown.setdefault(part.package, []).append(part)
    return [
        Problem(
            f"package {package} is not in the packages ({name} line {those[0].line}: {those[0].refdes}"
            + (f", and {len(those) - 1} more)" if len(those) > 1 else ")")
        )
        for package, those in sorted(unknown.items())
    ]


def numbered_boards(parts: Sequence[Part], name: str) -> tuple[list[Part], list[Problem]]:
    """Tell the boards of a panel apart: ``R1`` of the second board becomes ``R1@2``.

    A table is a panel if every designator occurs equally often and the boards can be laid onto each other. Any other
    repeated designator is a problem.
    """
    places: dict[str, list[Part]] = {}
    for part in parts:
        places.setdefault(part.refdes, []).append(part)
    counts = {len(those) for those in places.values()}
    if counts <= {1}:
        return list(parts), []
    ordered = _same_order(places) if len(counts) == 1 else None
    if ordered is None:
        return list(parts), [
            Problem(f"{name} line {those[1].line}: duplicate {refdes} (first on line {those[0].line})")
            for refdes, those in places.items()
            if len(those) > 1
        ]
    board = {(part.line): number for those in ordered.values() for number, part in enumerate(those, 1)}
    return [replace(part, refdes=f"{part.refdes}@{board[part.line]}") for part in parts], []


def _same_order(places: Mapping[str, list[Part]]) -> dict[str, list[Part]] | None:
    """Sort each designator's parts so that they are the same boards; None where no order makes boards congruent."""
    by_place = {
        name: sorted(those, key=lambda part: (part.x_mm, part.y_mm)) for name, those in places.items()
    }
    for order in (dict(places), by_place):
        boards = np.array([[(part.x_mm, part.y_mm) for part in those] for those in order.values()])
        distances = [_distances(boards[:, number]) for number in range(boards.shape[1])]
        if len(places) > 1 and all(np.abs(one - distances[0]).max() <= SAME_PLACE_MM for one in distances):
            return order
    return None


def _distances(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances to the first and to the last point: enough to tell boards apart, and linear in their number."""
    from_ends: NDArray[np.float64] = np.hypot(*(points[:, None] - points[None, [0, -1]]).transpose(2, 0, 1))
    return from_ends


def joint_boxes(
    parts: Sequence[Part], packages: Packages, side: Side, matrix: Matrix, name: str
) -> tuple[list[NumberedJoint], list[Problem]]:
    """Place the boxes of parts in pixels.

    Args:
        parts: of one side.
        packages: their boxes; parts of other packages are skipped.
        side: which one.
        matrix: float64 ``(2, 3)``, from mm as the camera sees them to pixels.
        name: what messages call the pick-and-place table.
    """
    joints: list[NumberedJoint] = []
    problems: list[Problem] = []
    for part in parts:
        for box in packages.get(part.package, ()):
            if box.empty:
                continue
            refdes = f"{part.refdes}.{box.pin}" if box.pin else part.refdes
            try:
                joints.append((part.line, _joint(refdes, part, box, side, matrix)))
            except ValidationError as error:
                problems.append(Problem(f"{name} line {part.line}: {refdes} in pixels: {in_one_line(error)}"))
    first: dict[str, NumberedJoint] = {}
    for line, joint in joints:
        other_line, other = first.setdefault(folded(joint.refdes), (line, joint))
        if other is not joint:
            names = f"{other.refdes} and {joint.refdes}"
            problems.append(Problem(f"{name} lines {other_line} and {line}: duplicate joints {names}"))
    return joints, problems


def _joint(refdes: str, part: Part, box: PackageBox, side: Side, matrix: Matrix) -> Joint:
    # Counter-clockwise with y upwards is a turn from y towards x with y downwards.
    turn = -math.radians(part.rotation_deg)
    cos, sin = math.cos(turn), math.sin(turn)
    middle_x, middle_y = as_seen((part.x_mm, part.y_mm), side)
    place = np.array([[middle_x + cos * box.dx + sin * box.dy, middle_y + sin * box.dx - cos * box.dy]])
    x, y = apply(matrix, place)[0].round(3).tolist()
    scale, turn_deg = scale_and_turn(matrix)
    return Joint(
        refdes=refdes,
        x=x,
        y=y,
        width=round(box.width * scale, 3),
        height=round(box.height * scale, 3),
        package=part.package,
        rotation=round(math.remainder(turn_deg - part.rotation_deg, 360.0), 4),
    )
