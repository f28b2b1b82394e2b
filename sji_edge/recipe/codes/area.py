"""Where a code is printed on a board, and what a serial number looks like."""

import math
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sji_edge.core.frozen import FrozenModel

Kind = Literal["data-matrix", "qr", "code-128"]
Unreadable = Literal["error", "review", "continue"]

MAX_SERIAL = 200
"""Maximum number of characters of a serial number."""


class Area(FrozenModel):
    """A box on the board: centre and size in pixels of the golden image, rotation in degrees (x towards y)."""

    x: float
    y: float
    width: float = Field(ge=8.0, le=4000.0)
    height: float = Field(ge=8.0, le=4000.0)
    rotation: float = Field(default=0.0, ge=-360.0, le=360.0)

    def corners(self) -> list[tuple[float, float]]:
        """Return the corners, clockwise from the top left of the box as it stands before it is turned."""
        angle = math.radians(self.rotation)
        cos, sin = math.cos(angle), math.sin(angle)
        halves = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
        return [
            (
                self.x + cos * across * self.width / 2 - sin * down * self.height / 2,
                self.y + sin * across * self.width / 2 + cos * down * self.height / 2,
            )
            for across, down in halves
        ]

    def leaves(self, frame: tuple[int, int]) -> bool:
        """Tell whether the box reaches out of a ``(width, height)`` frame."""
        width, height = frame
        return not all(-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5 for x, y in self.corners())


class CodeArea(Area):
    """An area that holds one code with its quiet zone; the code may be turned by any angle and may be inverted.

    ``kinds`` are the kinds of code to look for. ``budget_ms`` bounds the time spent on a code that is hard to read: no
    attempt begins after it.
    """

    kinds: tuple[Kind, ...] = Field(default=("data-matrix", "qr", "code-128"), min_length=1)
    budget_ms: float = Field(default=100.0, gt=0.0, le=10_000.0)


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern[:60]!r} is not a regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, Field(max_length=500), AfterValidator(_compiled)]
"""A regular expression of Python's ``re``; empty matches everything."""


class SerialRule(FrozenModel):
    """What a serial number looks like, and what happens to a board whose serial number cannot be read.

    ``pattern`` must match the whole serial number. ``unreadable`` is ``error`` (the board is ERROR), ``review`` (a
    board that would pass is REVIEW) or ``continue`` (the verdict stays). The cause of each board without one is
    ``no-serial``.
    """

    pattern: Pattern = ""
    unreadable: Unreadable = "error"

    def accepts(self, serial: str) -> bool:
        """Tell whether a text is a serial number of this board."""
        if not serial or len(serial) > MAX_SERIAL:
            return False
        return not self.pattern or re.fullmatch(self.pattern, serial) is not None
