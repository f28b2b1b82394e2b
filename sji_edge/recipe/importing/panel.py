"""The units of an imported panel: stepped over a grid, or told apart in a table that lists every board of the panel."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sji_edge.core.errors import UsageError
from sji_edge.core.preprocess import Matrix
from sji_edge.recipe.importing.camera_view import as_seen
from sji_edge.recipe.importing.centroid import Side
from sji_edge.recipe.joints import NumberedJoint
from sji_edge.recipe.panel import MAX_UNITS

GRID = re.compile(r"([0-9]{1,3})x([0-9]{1,3})")
NUMBERED = re.compile(r"(?P<refdes>.*)@(?P<board>[0-9]+)(?P<pin>(?:\.[^@]*)?)")


@dataclass(frozen=True, slots=True)
class PanelGrid:
    """Columns along x and rows along y of the table, and the distance from one unit to the next in mm."""

    columns: int
    rows: int
    pitch_mm: tuple[float, float]

    @classmethod
    def parse(cls, panel: str, pitch: str) -> "PanelGrid | None":
        """Read ``2x3`` and ``40,35``; None where both are empty.

        Raises:
            UsageError: one is missing or is not of this form.
        """
        if not panel and not pitch:
            return None
        grid = GRID.fullmatch(panel)
        if grid is None or not 1 < int(grid[1]) * int(grid[2]) <= MAX_UNITS:
            raise UsageError(
                f"the panel must be COLUMNSxROWS with 2 to {MAX_UNITS} units (got {panel!r})",
                hint="for example 2x3, with the pitch in mm such as 40,35",
            )
        try:
            x, y = (float(part) for part in pitch.split(","))
        except ValueError:
            raise UsageError(
                f"the pitch must be X,Y in mm (got {pitch!r})",
                hint="for example 40,35; a negative one steps back",
            ) from None
        return cls(int(grid[1]), int(grid[2]), (x, y))

    def units(self, matrix: Matrix, side: Side) -> list[dict[str, Any]]:
        """Return the units for ``board.json``; the first is where the table puts the board.

        Args:
            matrix: float64 ``(2, 3)``, from mm as the camera sees them to pixels.
            side: that the camera sees.
        """
        found = []
        for number in range(self.columns * self.rows):
            row, column = divmod(number, self.columns)
            shift = as_seen((column * self.pitch_mm[0], row * self.pitch_mm[1]), side)
            x, y = (matrix[:, :2] @ shift).round(3).tolist()
            found.append({"name": f"U{number + 1}", "x": x, "y": y})
        return found


def told_apart(joints: Sequence[NumberedJoint]) -> tuple[list[NumberedJoint], list[dict[str, Any]]]:
    """Give the joints ``R1@2`` of a table with several boards back their names, each with its unit.

    Returns:
        The joints, and the units for ``board.json``.
    """
    named: list[NumberedJoint] = []
    boards: set[int] = set()
    for line, joint in joints:
        found = NUMBERED.fullmatch(joint.refdes)
        if found is None:
            return list(joints), []
        boards.add(int(found["board"]))
        changes = {"refdes": found["refdes"] + found["pin"], "unit": f"U{found['board']}"}
        named.append((line, joint.model_copy(update=changes)))
    return named, [{"name": f"U{board}"} for board in sorted(boards)]
