"""The units of a panel: where each lies, its own code, and the mark that says that it is to be skipped."""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field, field_validator

from sji_edge.core.frozen import FrozenModel
from sji_edge.core.preprocess import Matrix
from sji_edge.recipe.codes.area import Area, CodeArea
from sji_edge.recipe.joints import Joint, NumberedJoint
from sji_edge.recipe.names import Name, folded
from sji_edge.recipe.problem import Problem

SEPARATOR = "/"
"""Stands between the name of a unit and the designator of its joint: ``U2/R5``."""
MAX_UNITS = 1000


class SkipMark(Area):
    """An area that differs from the golden image on a unit that is to be skipped, such as one with a painted X.

    ``min_changed`` is the share of its pixels that must differ; below half of it there is no mark, and in between it is
    unclear.
    """

    min_changed: float = Field(default=0.2, gt=0.0, le=1.0)


class Unit(FrozenModel):
    """One unit: its coordinates are turned by ``rotation`` degrees about its origin, then moved by ``x``, ``y`` pixels.

    ``code`` and ``skip`` are in the unit's coordinates, as its joints are.
    """

    name: Name
    x: float = 0.0
    y: float = 0.0
    rotation: float = Field(default=0.0, ge=-360.0, le=360.0)
    code: CodeArea | None = None
    skip: SkipMark | None = None

    @field_validator("name")
    @classmethod
    def _without_separator(cls, name: str) -> str:
        if SEPARATOR in name:
            raise ValueError(f"the name of a unit must not hold {SEPARATOR!r} (got {name})")
        return name

    @property
    def to_panel(self) -> Matrix:
        """The map from the unit's to the panel's pixels, float64 ``(2, 3)``."""
        angle = math.radians(self.rotation)
        cos, sin = math.cos(angle), math.sin(angle)
        return np.array([[cos, -sin, self.x], [sin, cos, self.y]])

    def placed(self, joint: Joint) -> Joint:
        """Return a joint as it lies on the panel, with the name that it has there."""
        moved = {"x": joint.x, "y": joint.y, "rotation": joint.rotation}
        if self.x or self.y or self.rotation:
            x, y = (self.to_panel @ (joint.x, joint.y, 1.0)).tolist()
            turn = math.remainder(joint.rotation + self.rotation, 360.0)
            moved = {"x": x, "y": y, "rotation": turn}
        name = f"{self.name}{SEPARATOR}{joint.refdes}"
        return joint.model_copy(update={**moved, "refdes": name, "unit": self.name})

    def placed_area(self, area: Area) -> Area:
        """Return an area as it lies on the panel."""
        x, y = (self.to_panel @ (area.x, area.y, 1.0)).tolist()
        return Area(
            x=x,
            y=y,
            width=area.width,
            height=area.height,
            rotation=math.remainder(area.rotation + self.rotation, 360.0),
        )


def unit_faults(units: Sequence[Unit], frame: tuple[int, int]) -> list[str]:
    """Return what is wrong with the units of a panel."""
    faults = []
    if len({folded(unit.name) for unit in units}) < len(units):
        faults.append("two units have the same name")
    for unit in units:
        for what, area in (("code", unit.code), ("skip mark", unit.skip)):
            if area is not None and unit.placed_area(area).leaves(frame):
                faults.append(f"the {what} of unit {unit.name} leaves the frame")
    return faults


def step_joints(
    joints: Sequence[NumberedJoint], units: Sequence[Unit], name: str
) -> tuple[list[NumberedJoint], list[Problem]]:
    """Place the joints of a table on the units of a panel.

    A joint that names its unit lies on that one, any other on every unit. If each names its own, they keep their order;
    otherwise those of a unit come together.

    Args:
        joints: of ``read_joints``.
        units: of the panel; none for a single board.
        name: what messages call the table.

    Returns:
        The joints of the panel, and what is wrong.
    """
    if not units:
        return list(joints), [
            Problem(
                f"{name} line {line}: joint {joint.refdes} names the unit {joint.unit}, but board.json has no units",
                line=line,
            )
            for line, joint in joints
            if joint.unit
        ]
    by_name = {unit.name: place for place, unit in enumerate(units)}
    problems = [
        Problem(f"{name} line {line}: board.json has no unit {joint.unit}", line=line)
        for line, joint in joints
        if joint.unit and joint.unit not in by_name
    ]
    placed = [
        (by_name[unit.name], line, unit.placed(joint))
        for line, joint in joints
        for unit in units
        if joint.unit in ("", unit.name)
    ]
    if any(not joint.unit for _, joint in joints):
        placed.sort(key=lambda one: one[0])
    bare = set(range(len(units))) - {place for place, _, _ in placed}
    problems += [
        Problem(f"{name}: unit {units[place].name} has no joint") for place in sorted(bare) if not problems
    ]
    return [(line, joint) for _, line, joint in placed], problems
