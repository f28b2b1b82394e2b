"""Reads pick-and-place (centroid) tables of layout programs: the place and rotation of each part.

Tables of KiCad (CSV and ASCII ``.pos``), Altium (CSV and text report), EasyEDA, LibrePCB, DipTrace, PADS, Allegro
(placed components), Eagle and Fusion 360 are read, and others with the same columns. Lines before the header are
skipped, other columns ignored. A length without a unit has the unit that the table declares, else the one that the
caller names, else millimetres.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from sji_edge.core.text import is_control, readable
from sji_edge.recipe.coding import decode_table
from sji_edge.recipe.importing.headerless import headerless_cells
from sji_edge.recipe.importing.table import UNIT_NAMES, UNITS_MM, CellTable, Program, read_cells
from sji_edge.recipe.problem import Problem

Side = Literal["top", "bottom"]
Unit = Literal["mm", "mil", "inch"]
BottomRotation = Literal["auto", "from-above", "from-below"]

SIDES: dict[str, Side] = {
    "top": "top", "t": "top", "toplayer": "top", "fcu": "top", "f": "top", "front": "top",
    "bottom": "bottom", "b": "bottom", "bottomlayer": "bottom", "bcu": "bottom", "back": "bottom",
}  # fmt: skip
LENGTH = re.compile(r"([+-]?[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*(mm|mils?|inch(?:es)?|in)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A part and its line in the table: centre in mm with y upwards.

    ``rotation_deg`` counts counter-clockwise as the camera of the part's own side sees it.
    """

    line: int
    refdes: str
    package: str
    x_mm: float
    y_mm: float
    rotation_deg: float
    side: Side


@dataclass(frozen=True, slots=True)
class Centroids:
    """The parts of both sides, what is wrong with the other lines, and how the table was read.

    ``unit`` is that of plain lengths, ``declared`` whether the table says so itself. ``turned_bottom`` tells that
    rotations of the bottom side were converted from the view from above.
    """

    parts: tuple[Part, ...] = ()
    problems: tuple[Problem, ...] = ()
    program: Program = ""
    unit: Unit = "mm"
    declared: bool = False
    turned_bottom: bool = False


def read_centroids(
    data: bytes, name: str, *, unit: Unit | None = None, bottom_rotation: BottomRotation = "auto"
) -> Centroids:
    """Parse a pick-and-place table.

    Args:
        data: the file's content, in UTF-8 or UTF-16; in another coding only its ASCII cells are used.
        name: what messages call the file.
        unit: of lengths that carry none, where the table declares none.
        bottom_rotation: how the table counts rotations of the bottom side: as seen from above or from below.
            ``auto``: from above for KiCad, whose exporter writes the footprint's own orientation; else from below.
    """
    text, sure = decode_table(data)
    table = headerless_cells(text, name) or read_cells(text)
    if table.fault:
        return Centroids(problems=(Problem(f"{name}: {table.fault}"),))
    declared: Unit | None = table.unit or None  # type: ignore[assignment]
    if unit and declared and unit != declared:
        said = f"it declares lengths in {declared}, the setting says {unit}"
        return Centroids(problems=(Problem(f"{name}: {said}; leave the units out"),))
    chosen: Unit = declared or unit or "mm"
    from_above = bottom_rotation == "from-above" or (bottom_rotation == "auto" and table.program == "KiCad")
    parts, problems = _parse_rows(table, name, UNITS_MM[chosen], sure, from_above)
    return Centroids(
        parts=tuple(parts),
        problems=tuple(problems),
        program=table.program,
        unit=chosen,
        declared=declared is not None,
        turned_bottom=from_above and any(part.side == "bottom" for part in parts),
    )


def _parse_rows(
    table: CellTable, name: str, plain_mm: float, sure: bool, from_above: bool
) -> tuple[list[Part], list[Problem]]:
    parts: list[Part] = []
    problems: list[Problem] = []
    fields = table.fields or {}
    for line, row in table.rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= max(fields.values()):
            problems.append(
                Problem(
                    f"{name} line {line}: {len(row)} cells, but the columns need {max(fields.values()) + 1}"
                )
            )
            continue
        cells = {field: row[place].strip() for field, place in fields.items()}
        if table.decimal_comma:
            cells |= {field: cells[field].replace(",", ".") for field in ("x", "y", "rotation")}
        part, faults = _parse_part(line, cells, plain_mm, sure, from_above)
        problems += [Problem(f"{name} line {line}: {fault}") for fault in faults]
        if part is not None:
            parts.append(part)
    if not parts and not problems:
        problems.append(Problem(f"{name}: the table lists no part"))
    return parts, problems


def _parse_part(
    line: int, cells: dict[str, str], plain_mm: float, sure: bool, from_above: bool
) -> tuple[Part | None, list[str]]:
    faults = [fault for field in ("refdes", "package") if (fault := _name_fault(field, cells[field], sure))]
    x, y = (length_mm(cells[field], plain_mm) for field in ("x", "y"))
    faults += [
        f"{field}: {readable(cells[field])!r} is not a length such as 12.7 or 12.7mm"
        for field, value in (("x", x), ("y", y))
        if value is None
    ]
    rotation = _number(cells["rotation"] or "0")
    if rotation is None:
        faults.append(f"rotation: {readable(cells['rotation'])!r} is not a number")
    side = SIDES.get(re.sub(r"[^a-z]", "", cells["side"].lower()))
    if side is None:
        faults.append(f"side: {readable(cells['side'])!r} is neither top nor bottom")
    if faults or x is None or y is None or rotation is None or side is None:
        return None, faults
    if side == "bottom" and from_above:
        # A footprint on the bottom is flipped across its x axis, then turned; seen from below, across the y axis.
        rotation = math.remainder(180.0 - rotation, 360.0)
    return Part(line, cells["refdes"], cells["package"], x, y, rotation, side), []


def _name_fault(field: str, cell: str, sure: bool) -> str:
    if not cell:
        return f"{field} is empty"
    if any(map(is_control, cell)):
        return f"{field}: {readable(cell)} holds a control character"
    if not sure and not cell.isascii():
        return f"{field}: {cell!r} is not UTF-8 text (perhaps Windows-1252); save the table in UTF-8"
    return ""


def length_mm(text: str, plain_mm: float = 1.0) -> float | None:
    """Read ``12.7``, ``12.7mm``, ``500mil`` or ``0.5in`` as mm; a plain number counts ``plain_mm`` each.

    Returns None for what is not a length.
    """
    found = LENGTH.fullmatch(text)
    if found is None:
        return None
    value = float(found[1]) * (UNITS_MM[UNIT_NAMES[found[2].lower()]] if found[2] else plain_mm)
    return value if math.isfinite(value) else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
