"""A recipe made from pick-and-place data: millimetres with y upwards become pixels with y downwards.

The bottom is seen from below, so its x is mirrored first; then follow a turn, a scale and a shift, fitted to
fiducials whose pixels are known, or given as a scale and the pixel where the board's origin lies. The result is
verified against the golden image, further known points and other readings of the input: see ``proof``.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from sji_edge.core.card import in_one_line
from sji_edge.core.errors import RecipeError
from sji_edge.core.left_out import MAX_EXAMPLES, LeftOut
from sji_edge.core.left_out import in_one_line as left_out_line
from sji_edge.core.preprocess import Image, Matrix
from sji_edge.recipe.align.alignment import apply
from sji_edge.recipe.board import MAX_LISTED, Board
from sji_edge.recipe.fiducials.find import FiducialFinder
from sji_edge.recipe.fiducials.shapes import Circle
from sji_edge.recipe.importing.boxes import is_left_out, joint_boxes, numbered_boards, unknown_packages
from sji_edge.recipe.importing.camera_view import CameraView, Point, anchor_places, fit_view, scale_and_turn
from sji_edge.recipe.importing.centroid import Centroids, Part, Unit
from sji_edge.recipe.importing.packages import Packages
from sji_edge.recipe.importing.panel import PanelGrid, told_apart
from sji_edge.recipe.importing.proof import Case, prove
from sji_edge.recipe.importing.table import UNITS_MM
from sji_edge.recipe.joints import REQUIRED, NumberedJoint, leaves_frame
from sji_edge.recipe.panel import Unit as PanelUnit
from sji_edge.recipe.panel import step_joints
from sji_edge.recipe.problem import Problem

UNIT_WORDS: dict[Unit, str] = {"mm": "millimetres", "mil": "mils", "inch": "inches"}


@dataclass(frozen=True, slots=True, eq=False)
class ImportedBoard:
    """A recipe's two files as text, and how they were made.

    ``joints`` counts those of all ``units``, of which a single board has none. ``left_out`` are parts of this side that
    are not inspected, by package; ``other_side`` counts those of the other one. ``residual_px`` is how far the
    fiducials disagree; ``proof`` says what distinguishes the board from its mirror image; ``warnings`` deserve a look.
    """

    board_json: str
    joints_csv: str
    joints: int
    units: int
    left_out: tuple[LeftOut, ...]
    other_side: int
    scale: float
    turn_deg: float
    residual_px: float
    proof: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Draft:
    """A recipe before it is verified; ``problems`` prevent it from becoming one."""

    case: Case
    board: dict[str, Any]
    residual_px: float
    problems: list[Problem]


def import_board(
    table: Centroids,
    packages: Packages,
    view: CameraView,
    name: str,
    *,
    golden: Image | None = None,
    strict: bool = False,
    panel: PanelGrid | None = None,
) -> ImportedBoard:
    """Make a recipe of the parts of one side.

    Args:
        table: the parts of both sides.
        packages: the boxes of every package of that side.
        view: how the camera sees it.
        name: what messages call the pick-and-place file.
        golden: image of a faultless board, uint8 grey or BGR; proves the import.
        strict: raise an error for parts of this side that are not inspected.
        panel: step the board over this grid; None for a single board, or for a table that lists every board.

    Raises:
        RecipeError: names every unknown package and everything else that does not fit; or the evidence supports
            another reading of the input.
    """
    left_out = _left_out(table.parts, packages, view)
    if strict and left_out:
        raise RecipeError(
            f"{name}: {left_out_line(left_out)}",
            hint="give these packages a box, or switch off strict checking",
        )
    draft = _draft(table.parts, packages, view, name)
    if draft.problems:
        unit = _other_unit(table, packages, view, name)
        hint = (
            f"is the table in {UNIT_WORDS[unit]}? Everything fits in that unit: set the units to {unit}"
            if unit
            else ""
        )
        raise refusal(name, draft.problems, hint)
    marks = _marks(draft, golden)
    if (
        golden is not None
        and not all(marks)
        and (unit := _unit_of_marks(table, packages, view, name, golden))
    ):
        raise RecipeError(
            f"{name}: golden.png shows no fiducials of {view.fiducial_mm:g} mm; it would if the table were in "
            f"{UNIT_WORDS[unit]}",
            hint=f"set the units to {unit}",
        )
    joints, units = _units(draft, panel, name)
    proof, warnings = prove(draft.case, golden)
    missing = ", ".join(str(number) for number, found in enumerate(marks) if not found)
    if missing:
        unseen = f"golden.png shows no fiducial {missing} of {view.fiducial_mm:g} mm at its place: see recipe check"
        warnings = (*warnings, unseen)
    scale, turn_deg = scale_and_turn(draft.case.matrix)
    return ImportedBoard(
        board_json=json.dumps(draft.board | ({"units": units} if units else {}), indent=2) + "\n",
        joints_csv=_csv(joints),
        joints=len(draft.case.joints) * (len(units) if panel else 1),
        units=len(units),
        left_out=left_out,
        other_side=sum(part.side != view.side for part in table.parts),
        scale=scale,
        turn_deg=turn_deg,
        residual_px=draft.residual_px,
        proof=proof,
        warnings=warnings,
    )


def _units(
    draft: _Draft, panel: PanelGrid | None, name: str
) -> tuple[Sequence[NumberedJoint], list[dict[str, Any]]]:
    """Return the joints for the table and the units for ``board.json``; no units for a single board."""
    joints, units = told_apart(draft.case.joints)
    if panel is None:
        return joints, units
    if units:
        raise RecipeError(
            f"{name} lists {len(units)} boards already",
            hint="leave the panel out: the table's own boards become units",
        )
    units = panel.units(draft.case.matrix, draft.case.view.side)
    placed, problems = step_joints(joints, [PanelUnit.model_validate(unit) for unit in units], name)
    problems += leaves_frame(placed, draft.case.view.frame, name)
    if problems:
        raise refusal(name, problems, "is the pitch in mm, and do its signs fit the table's axes?")
    return joints, units


def refusal(name: str, problems: Sequence[Problem], hint: str = "") -> RecipeError:
    """Return one error of all problems."""
    listed = "; ".join(problem.text for problem in problems[:MAX_LISTED])
    more = f"; and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
    return RecipeError(
        f"{name} cannot be imported: {listed}{more}", hint=hint or "correct these and run the command again"
    )


def _draft(parts: Sequence[Part], packages: Packages, view: CameraView, name: str) -> _Draft:
    places, problems = anchor_places(parts, view)
    if problems:
        raise refusal(name, problems)
    matrix, residual = fit_view(places, view)
    marks = {anchor.refdes for anchor in view.anchors if anchor.refdes}
    wanted = [part for part in parts if part.side == view.side and part.refdes not in marks]
    problems = unknown_packages(wanted, packages, name)
    inspected = [part for part in wanted if part.package in packages and not is_left_out(part, packages)]
    numbered, faults = numbered_boards(inspected, name)
    joints, more = joint_boxes(numbered, packages, view.side, matrix, name)
    problems += faults or more
    problems += leaves_frame(joints, view.frame, name)
    board = _board(places, view, matrix)
    try:
        Board.model_validate(board)
    except ValidationError as error:
        problems.append(Problem(in_one_line(error)))
    if not joints and not problems:
        problems.append(Problem(f"no part on the {view.side} side has a box to inspect"))
    return _Draft(Case(numbered, packages, view, places, matrix, joints, parts), board, residual, problems)


def _left_out(parts: Sequence[Part], packages: Packages, view: CameraView) -> tuple[LeftOut, ...]:
    marks = {anchor.refdes for anchor in view.anchors}
    named: dict[str, list[str]] = {}
    for part in parts:
        if part.side == view.side and part.refdes not in marks and is_left_out(part, packages):
            named.setdefault(part.package, []).append(part.refdes)
    return tuple(
        LeftOut(what=f"parts of package {package}", count=len(names), examples=tuple(names[:MAX_EXAMPLES]))
        for package, names in named.items()
    )


def _in_unit(table: Centroids, unit: str) -> list[Part]:
    """The parts, had plain lengths counted in another unit."""
    factor = UNITS_MM[unit] / UNITS_MM[table.unit]
    return [replace(part, x_mm=part.x_mm * factor, y_mm=part.y_mm * factor) for part in table.parts]


def _others(table: Centroids) -> list[Unit]:
    return [] if table.declared else [unit for unit in ("mm", "inch", "mil") if unit != table.unit]


def _other_unit(table: Centroids, packages: Packages, view: CameraView, name: str) -> Unit | None:
    """Return the unit in which the table can be imported without a problem, if there is one."""
    for unit in _others(table):
        try:
            draft = _draft(_in_unit(table, unit), packages, view, name)
        except RecipeError:
            continue
        if not draft.problems:
            return unit
    return None


def _marks(draft: _Draft, golden: Image | None) -> list[bool]:
    """Tell of each fiducial whether the golden image shows it, in size and place; empty without an image."""
    if golden is None:
        return []
    circles = [Circle.model_validate(mark) for mark in draft.board["fiducials"]]
    return [bool(found) for found in FiducialFinder(circles).find(golden)]


def _unit_of_marks(
    table: Centroids, packages: Packages, view: CameraView, name: str, golden: Image
) -> Unit | None:
    """Return the unit in which the golden image shows every fiducial, if there is one."""
    for unit in _others(table):
        try:
            draft = _draft(_in_unit(table, unit), packages, view, name)
        except RecipeError:
            continue
        if not draft.problems and all(_marks(draft, golden)):
            return unit
    return None


def _board(places: list[Point], view: CameraView, matrix: Matrix) -> dict[str, Any]:
    mapped = apply(matrix, np.array(places)).round(3).tolist()
    pixels = [anchor.px or (x, y) for anchor, (x, y) in zip(view.anchors, mapped, strict=True)]
    radius = round(view.fiducial_mm / 2 * scale_and_turn(matrix)[0], 3)
    disc = {"radius": radius, "shape": "circle", "bright": view.bright}
    return {"frame": list(view.frame), "fiducials": [{"x": x, "y": y, **disc} for x, y in pixels]}


def _csv(joints: Sequence[NumberedJoint]) -> str:
    columns = [*REQUIRED, "rotation", *(["unit"] if any(joint.unit for _, joint in joints) else [])]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(joint.model_dump(include=set(columns)) for _, joint in joints)
    return text.getvalue()
