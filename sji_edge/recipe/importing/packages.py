"""Reads ``packages.csv``, the boxes to inspect of each package in mm: one around it, or one per pin."""

from typing import Self

from pydantic import Field, ValidationError, model_validator

from sji_edge.core.findings import in_one_sentence
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.text import readable
from sji_edge.recipe.csv_rows import Cells, csv_rows
from sji_edge.recipe.names import Name, OptionalName
from sji_edge.recipe.problem import Problem

REQUIRED = ("package", "width", "height")
OPTIONAL = ("pin", "dx", "dy")


class PackageBox(FrozenModel):
    """A box of an unrotated package: its size, and its centre relative to the part's, y upwards.

    Width and height 0 mean that the package is not inspected.
    """

    package: Name
    width: float = Field(ge=0.0, le=500.0)
    height: float = Field(ge=0.0, le=500.0)
    pin: OptionalName = ""
    dx: float = Field(default=0.0, ge=-500.0, le=500.0)
    dy: float = Field(default=0.0, ge=-500.0, le=500.0)

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.width == 0) != (self.height == 0):
            raise ValueError("width and height must both be 0, or neither")
        return self

    @property
    def empty(self) -> bool:
        """Tell whether the package is not inspected."""
        return self.width == 0


Packages = dict[str, tuple[PackageBox, ...]]
"""The boxes of each package by its name."""


def read_packages(data: bytes, name: str) -> tuple[Packages, list[Problem]]:
    """Parse ``packages.csv``.

    Args:
        data: the file's content, UTF-8 with or without a byte order mark.
        name: what messages call the file.

    Returns:
        The valid packages, and what is wrong with the others, each with its line.
    """
    boxes: dict[str, list[PackageBox]] = {}
    problems: list[Problem] = []
    for line, cells in csv_rows(data, name, REQUIRED, OPTIONAL):
        if isinstance(cells, Problem):
            problems.append(cells)
            continue
        box = _parse_box(cells)
        if isinstance(box, list):
            problems += [Problem(f"{name} line {line}: {fault}") for fault in box]
            continue
        earlier = boxes.setdefault(box.package, [])
        if clash := _clash(box, earlier):
            problems.append(Problem(f"{name} line {line}: {box.package}: {clash}"))
        else:
            earlier.append(box)
    if not boxes and not problems:
        problems.append(Problem(f"{name}: the table lists no package"))
    return {package: tuple(those) for package, those in boxes.items()}, problems


def _parse_box(cells: Cells) -> PackageBox | list[str]:
    try:
        return PackageBox.model_validate(cells)
    except ValidationError as error:
        return [readable(in_one_sentence(found)) for found in error.errors()]


def _clash(box: PackageBox, earlier: list[PackageBox]) -> str:
    """Say why a further box of a package is wrong; empty if it is not."""
    if not earlier:
        return ""
    if box.empty or any(other.empty for other in earlier):
        return "one line says that it is not inspected, another gives a box"
    if not box.pin or any(not other.pin for other in earlier):
        return "each of several lines needs a pin"
    return f"duplicate pin {box.pin}" if any(other.pin == box.pin for other in earlier) else ""
