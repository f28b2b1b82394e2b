"""A recipe made from pick-and-place data: millimetres with y upwards become pixels with y downwards.

The bottom is seen from below, so its x is mirrored first; then follow a turn, a scale and a shift, fitted to
fiducials whose pixels are known, or given as a scale and the pixel where the board's origin lies. A part's
rotation counts counter-clockwise as the camera of its own side sees it.
"""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from sji_edge.core.card import in_one_line
from sji_edge.core.errors import RecipeError
from sji_edge.core.preprocess import Matrix
from sji_edge.recipe.align.alignment import apply
from sji_edge.recipe.board import MAX_LISTED, Board
from sji_edge.recipe.importing.camera_view import CameraView, Point, anchor_places, as_seen, fit_view
from sji_edge.recipe.importing.centroid import Part, Side
from sji_edge.recipe.importing.packages import PackageBox, Packages
from sji_edge.recipe.joints import OPTIONAL, REQUIRED, Joint, NumberedJoint, leaves_frame
from sji_edge.recipe.problem import Problem


@dataclass(frozen=True, slots=True, eq=False)
class ImportedBoard:
    """A recipe's two files as text, and what was found; ``residual_px`` is how far the anchors disagree."""

    board_json: str
    joints_csv: str
    joints: int
    left_out: int
    scale: float
    turn_deg: float
    residual_px: float


def import_board(parts: Sequence[Part], packages: Packages, view: CameraView, name: str) -> ImportedBoard:
    """Make a recipe of the parts of one side.

    Args:
        parts: of both sides.
        packages: the boxes of every package of that side.
        view: how the camera sees it.
        name: how findings call the pick-and-place file.

    Raises:
        RecipeError: names every package that is not known and everything else that does not fit.
    """
    places, findings = anchor_places(parts, view)
    if findings:
        raise refusal(name, findings)
    matrix, residual = fit_view(places, view)
    scale, turn_deg = _scale_and_turn(matrix)
    marks = {anchor.refdes for anchor in view.anchors if anchor.refdes}
    wanted = [part for part in parts if part.side == view.side and part.refdes not in marks]
    findings = _unknown(wanted, packages, name)
    joints, joint_findings = _joints(wanted, packages, view.side, matrix, name)
    findings += joint_findings + leaves_frame(joints, view.frame, name)
    board = _board(places, view, matrix, scale)
    try:
        Board.model_validate(board)
    except ValidationError as error:
        findings.append(Problem(in_one_line(error)))
    if not joints and not findings:
        findings.append(Problem(f"no part of the {view.side} side is to be looked at"))
    if findings:
        raise refusal(name, findings)
    left_out = sum(all(box.empty for box in packages[part.package]) for part in wanted)
    return ImportedBoard(
        board_json=json.dumps(board, indent=2) + "\n",
        joints_csv=_csv(joints),
        joints=len(joints),
        left_out=left_out,
        scale=scale,
        turn_deg=turn_deg,
        residual_px=residual,
    )


def refusal(name: str, findings: list[Problem]) -> RecipeError:
    """One error of all findings."""
    listed = "; ".join(finding.text for finding in findings[:MAX_LISTED])
    more = f"; and {len(findings) - MAX_LISTED} more" if len(findings) > MAX_LISTED else ""
    return RecipeError(
        f"{name} cannot be imported: {listed}{more}", hint="correct what is named and run it again"
    )


def _unknown(parts: Sequence[Part], packages: Packages, name: str) -> list[Problem]:
    unknown: dict[str, list[Part]] = {}
    for part in parts:
        if part.package not in packages:
            unknown.setdefault(part.package, []).append(part)
    return [
        Problem(
            f"package {package} is not in the packages ({name} line {those[0].line}: {those[0].refdes}"
            + (f", and {len(those) - 1} more)" if len(those) > 1 else ")")
        )
        for package, those in sorted(unknown.items())
    ]


def _joints(
    parts: Sequence[Part], packages: Packages, side: Side, matrix: Matrix, name: str
) -> tuple[list[NumberedJoint], list[Problem]]:
    joints: list[NumberedJoint] = []
    findings: list[Problem] = []
    for part in parts:
        for box in packages.get(part.package, ()):
            if box.empty:
                continue
            refdes = f"{part.refdes}.{box.pin}" if box.pin else part.refdes
            try:
                joints.append((part.line, _joint(refdes, part, box, side, matrix)))
            except ValidationError as error:
                findings.append(Problem(f"{name} line {part.line}: {refdes} in pixels: {in_one_line(error)}"))
    counts = Counter(joint.refdes for _, joint in joints)
    findings += [Problem(f"{name}: two joints {refdes}") for refdes, count in counts.items() if count > 1]
    return joints, findings


def _joint(refdes: str, part: Part, box: PackageBox, side: Side, matrix: Matrix) -> Joint:
    # Counter-clockwise with y upwards is a turn from y towards x with y downwards.
    turn = -math.radians(part.rotation_deg)
    cos, sin = math.cos(turn), math.sin(turn)
    middle_x, middle_y = as_seen((part.x_mm, part.y_mm), side)
    place = np.array([[middle_x + cos * box.dx + sin * box.dy, middle_y + sin * box.dx - cos * box.dy]])
    x, y = apply(matrix, place)[0].round(3).tolist()
    scale, turn_deg = _scale_and_turn(matrix)
    return Joint(
        refdes=refdes,
        x=x,
        y=y,
        width=round(box.width * scale, 3),
        height=round(box.height * scale, 3),
        package=part.package,
        rotation=round(math.remainder(turn_deg - part.rotation_deg, 360.0), 4),
    )


def _scale_and_turn(matrix: Matrix) -> tuple[float, float]:
    """Pixels a mm, and the turn in degrees from x towards y, of a map without reflection."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return scale, math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))


def _board(places: list[Point], view: CameraView, matrix: Matrix, scale: float) -> dict[str, Any]:
    mapped = apply(matrix, np.array(places)).round(3).tolist()
    pixels = [anchor.px or (x, y) for anchor, (x, y) in zip(view.anchors, mapped, strict=True)]
    radius = round(view.fiducial_mm / 2 * scale, 3)
    disc = {"radius": radius, "shape": "circle", "bright": view.bright}
    return {"frame": list(view.frame), "fiducials": [{"x": x, "y": y, **disc} for x, y in pixels]}


def _csv(joints: list[NumberedJoint]) -> str:
    columns = [*REQUIRED, OPTIONAL[0]]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(joint.model_dump(include=set(columns)) for _, joint in joints)
    return text.getvalue()
