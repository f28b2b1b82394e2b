"""Pick-and-place (centroid) tables, as layout programs write them: which part stands where.

Headers of the KiCad and Altium kind are known, in any case and spelling of their signs; lines before the
header are passed over, other columns ignored. Lengths are millimetres unless a cell or the header says mil.
"""

import csv
import io
import math
import re
from dataclasses import dataclass
from typing import Literal

from sji_edge.recipe.problem import Problem

Side = Literal["top", "bottom"]

COLUMNS = {
    "refdes": ("ref", "refdes", "reference", "designator"),
    "x": ("posx", "midx", "centerx", "x"),
    "y": ("posy", "midy", "centery", "y"),
    "rotation": ("rot", "rotation", "angle"),
    "side": ("side", "layer"),
    "package": ("package", "footprint"),
}
SIDES: dict[str, Side] = {
    "top": "top", "t": "top", "toplayer": "top", "fcu": "top",
    "bottom": "bottom", "b": "bottom", "bottomlayer": "bottom", "bcu": "bottom",
}  # fmt: skip
DELIMITERS = ",;\t"
MAX_PREAMBLE = 50
MM = {"": 1.0, "mm": 1.0, "mil": 0.0254}
LENGTH = re.compile(r"([+-]?[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*(mm|mil)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A part and the line it stands on: centre in mm with y upwards, rotation in degrees, counter-clockwise."""

    line: int
    refdes: str
    package: str
    x_mm: float
    y_mm: float
    rotation_deg: float
    side: Side


@dataclass(frozen=True, slots=True)
class _Header:
    """Where each field stands, the sign between cells, and a plain length's unit in mm."""

    line: int
    fields: dict[str, int]
    delimiter: str
    unit: dict[str, float]


def read_centroids(data: bytes, name: str) -> tuple[list[Part], list[Problem]]:
    """Parse a pick-and-place table.

    Args:
        data: the file's content, UTF-8 with or without a byte order mark.
        name: how findings call the file.

    Returns:
        The parts of both sides, and what is wrong with the other lines.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return [], [Problem(f"{name}: not UTF-8 text")]
    lines = text.splitlines()
    header = _find_header(lines)
    if header is None:
        wanted = ", ".join("/".join(names[:3]) for names in COLUMNS.values())
        return [], [
            Problem(f"{name}: no header line in the first {MAX_PREAMBLE}; one column each of {wanted}")
        ]
    doubled = _doubled(lines[header.line - 1], header)
    if doubled:
        return [], [Problem(f"{name} line {header.line}: two columns for {field}") for field in doubled]
    rows = csv.reader(
        io.StringIO("\n".join(lines[header.line :])), delimiter=header.delimiter, skipinitialspace=True
    )
    try:
        return _parse_rows([(header.line + rows.line_num, row) for row in rows], header, name)
    except csv.Error as error:
        return [], [Problem(f"{name} line {header.line + rows.line_num}: {error}")]


def _find_header(lines: list[str]) -> _Header | None:
    for number, line in enumerate(lines[:MAX_PREAMBLE], 1):
        for delimiter in DELIMITERS:
            fields: dict[str, int] = {}
            unit: dict[str, float] = {}
            for place, cell in enumerate(next(csv.reader([line], delimiter=delimiter), [])):
                field, mm = _field_of(cell)
                if field and field not in fields:
                    fields[field], unit[field] = place, mm
            if len(fields) == len(COLUMNS):
                return _Header(number, fields, delimiter, unit)
    return None


def _field_of(cell: str) -> tuple[str, float]:
    """Which field a header's cell names, or none, and the unit that it states."""
    word = re.sub(r"[^a-z0-9]", "", cell.lower())
    for field, names in COLUMNS.items():
        for unit, mm in MM.items():
            if word in {known + unit for known in names}:
                return field, mm
    return "", 1.0


def _doubled(line: str, header: _Header) -> list[str]:
    named = [_field_of(cell)[0] for cell in next(csv.reader([line], delimiter=header.delimiter))]
    return [field for field in COLUMNS if named.count(field) > 1]


def _parse_rows(
    rows: list[tuple[int, list[str]]], header: _Header, name: str
) -> tuple[list[Part], list[Problem]]:
    parts: list[Part] = []
    findings: list[Problem] = []
    first_line: dict[str, int] = {}
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= max(header.fields.values()):
            findings.append(Problem(f"{name} line {line}: {len(row)} cells are too few"))
            continue
        cells = {field: row[place].strip() for field, place in header.fields.items()}
        part, faults = _parse_part(line, cells, header.unit)
        findings += [Problem(f"{name} line {line}: {fault}") for fault in faults]
        if part is None:
            continue
        if part.refdes in first_line:
            text = f"{part.refdes} stands on line {first_line[part.refdes]} already"
            findings.append(Problem(f"{name} line {line}: {text}"))
            continue
        first_line[part.refdes] = line
        parts.append(part)
    if not parts and not findings:
        findings.append(Problem(f"{name}: no part"))
    return parts, findings


def _parse_part(line: int, cells: dict[str, str], unit: dict[str, float]) -> tuple[Part | None, list[str]]:
    faults = [f"{field} is empty" for field in ("refdes", "package") if not cells[field]]
    x, y = (length_mm(cells[field], unit[field]) for field in ("x", "y"))
    faults += [
        f"{field}: {cells[field]!r} is no length; 12.7 or 12.7mm was wanted"
        for field, value in (("x", x), ("y", y))
        if value is None
    ]
    rotation = _number(cells["rotation"] or "0")
    if rotation is None:
        faults.append(f"rotation: {cells['rotation']!r} is no number")
    side = SIDES.get(re.sub(r"[^a-z]", "", cells["side"].lower()))
    if side is None:
        faults.append(f"side: {cells['side']!r}; top or bottom was wanted")
    if faults or x is None or y is None or rotation is None or side is None:
        return None, faults
    return Part(line, cells["refdes"], cells["package"], x, y, rotation, side), []


def length_mm(text: str, plain_mm: float = 1.0) -> float | None:
    """Read ``12.7``, ``12.7mm`` or ``500mil`` as mm; a plain number counts ``plain_mm`` each. None: no length."""
    found = LENGTH.fullmatch(text)
    if found is None:
        return None
    value = float(found[1]) * (MM[found[2].lower()] if found[2] else plain_mm)
    return value if math.isfinite(value) else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
