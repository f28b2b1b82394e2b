"""``joints.csv``: one joint per line, in pixels of the golden image."""

import math
from typing import Self

from pydantic import Field, ValidationError, model_validator

from sji_edge.core.findings import in_one_sentence
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.text import readable
from sji_edge.recipe.csv_rows import Cells, csv_rows
from sji_edge.recipe.names import Name, OptionalName, folded
from sji_edge.recipe.problem import Problem

REQUIRED = ("refdes", "x", "y", "width", "height", "package")
OPTIONAL = ("rotation", "lower", "upper", "unit")


class Joint(FrozenModel):
    """One solder joint: centre and size of its box in recipe pixels, rotation in degrees (x towards y).

    ``lower`` and ``upper`` replace the engine's thresholds for this joint; give both or neither, with
    0 < lower <= upper <= 1. ``unit`` is the unit of a panel that has the joint; empty stands for every unit.
    """

    refdes: Name
    x: float
    y: float
    width: float = Field(ge=2.0)
    height: float = Field(ge=2.0)
    package: OptionalName
    rotation: float = Field(default=0.0, ge=-360.0, le=360.0)
    lower: float | None = Field(default=None, gt=0.0, le=1.0)
    upper: float | None = Field(default=None, gt=0.0, le=1.0)
    unit: OptionalName = ""

    @model_validator(mode="after")
    def _thresholds_in_pairs(self) -> Self:
        if (self.lower is None) != (self.upper is None):
            raise ValueError("give both lower and upper, or neither")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower must not be above upper (got {self.lower:g} and {self.upper:g})")
        return self

    @property
    def roi(self) -> tuple[float, float, float, float, float]:
        """``x, y, width, height`` in pixels and the rotation in radians."""
        return self.x, self.y, self.width, self.height, math.radians(self.rotation)


NumberedJoint = tuple[int, Joint]
"""A joint and the line it was read from."""


def read_joints(data: bytes, name: str) -> tuple[list[NumberedJoint], list[Problem]]:
    """Parse ``joints.csv``.

    Args:
        data: the file's content, UTF-8 with or without a byte order mark.
        name: what messages call the file.

    Returns:
        The valid joints, and what is wrong with the others, each with its line. Designators that differ only in
        case, blanks or Unicode form count as duplicates, unless they are on different units.
    """
    joints: list[NumberedJoint] = []
    problems: list[Problem] = []
    first: dict[tuple[str, str], NumberedJoint] = {}
    for line, cells in csv_rows(data, name, REQUIRED, OPTIONAL):
        if isinstance(cells, Problem):
            problems.append(cells)
            continue
        joint, faults = _parse_joint(cells)
        problems += [Problem(f"{name} line {line}: {fault}", line=line) for fault in faults]
        if joint is None:
            continue
        earlier = first.setdefault((joint.unit, folded(joint.refdes)), (line, joint))
        if earlier[1] is not joint:
            same = earlier[1].refdes == joint.refdes
            how = (
                "" if same else f"; {earlier[1].refdes} differs from it only in case, blanks or Unicode form"
            )
            text = f"duplicate {joint.refdes} (first on line {earlier[0]}{how})"
            problems.append(Problem(f"{name} line {line}: {text}", line=line))
            continue
        joints.append((line, joint))
    if not joints and not problems:
        problems.append(Problem(f"{name}: the table lists no joint"))
    return joints, problems


def _parse_joint(cells: Cells) -> tuple[Joint | None, list[str]]:
    try:
        return Joint.model_validate(cells), []
    except ValidationError as error:
        return None, [readable(in_one_sentence(found)) for found in error.errors()]


def leaves_frame(joints: list[NumberedJoint], frame: tuple[int, int], name: str) -> list[Problem]:
    """Find the joints whose box leaves a ``(width, height)`` frame; the outer pixels reach half a pixel out."""
    problems = []
    for line, joint in joints:
        x, y, width, height, angle = joint.roi
        half_x = (abs(math.cos(angle)) * width + abs(math.sin(angle)) * height) / 2
        half_y = (abs(math.sin(angle)) * width + abs(math.cos(angle)) * height) / 2
        slack = 1e-9
        inside_x = x - half_x >= -0.5 - slack and x + half_x <= frame[0] - 0.5 + slack
        inside_y = y - half_y >= -0.5 - slack and y + half_y <= frame[1] - 0.5 + slack
        if not (inside_x and inside_y):
            text = f"{name} line {line}: joint {joint.refdes} leaves the {frame[0]}x{frame[1]} frame"
            problems.append(Problem(text, outside=True, line=line))
    return problems
