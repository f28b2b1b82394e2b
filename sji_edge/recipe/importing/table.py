"""A pick-and-place table as cells: finding its header line, its columns and its units.

Three layouts are read: delimited text (comma, semicolon, tab), KiCad's ASCII ``.pos`` file (columns separated by
blanks, header behind ``#``), and Altium's text report (columns of fixed width).
"""

import csv
import io
import re
from dataclasses import dataclass
from typing import Literal

COLUMNS = {
    "refdes": ("ref", "refdes", "reference", "designator"),
    "x": ("posx", "midx", "centerx", "positionx", "symx", "x"),
    "y": ("posy", "midy", "centery", "positiony", "symy", "y"),
    "rotation": ("rot", "rotation", "rotate", "angle", "orient", "orientation", "symrotate"),
    "side": ("side", "layer", "tb", "symmirror", "mirror"),
    "package": ("package", "footprint", "pattern", "partdecal", "symname"),
}
"""What a field's column may be called: in lower case, without blanks and punctuation.

Beside KiCad's and Altium's words these are LibrePCB's (position x), DipTrace's (pattern, rotate), PADS's (part decal,
orient.) and those of Allegro's report of placed components (sym_x, sym_rotate, sym_mirror, sym_name).
"""
MIRRORED = {"yes": "bottom", "no": "top"}
"""What a column says that tells whether a part is mirrored, and the side that this means."""
DELIMITERS = ",;\t!|"
MAX_PREAMBLE = 50
UNITS_MM = {"mm": 1.0, "mil": 0.0254, "inch": 25.4}
UNIT_NAMES = {"": "", "mm": "mm", "mil": "mil", "mils": "mil", "in": "inch", "inch": "inch", "inches": "inch"}
DECLARED_UNIT = re.compile(r"units?(?: used)?\s*[:=]\s*(mm|mils?|inch(?:es)?|in)\b", re.IGNORECASE)
TWO_WORDS = re.compile(r"\b(Mid|Ref|Pad|Center)[ -]+([XY])\b", re.IGNORECASE)
NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+")
Program = Literal["KiCad", "Altium", "Eagle", ""]


@dataclass(frozen=True)
class CellTable:
    """The rows of a table, each with its line number.

    ``fields`` says in which column each field stands, ``unit`` what the header or the preamble declares for the
    lengths of ``x`` and ``y`` (empty for nothing). ``fault`` says why the table cannot be read; empty if it can.
    """

    rows: tuple[tuple[int, list[str]], ...] = ()
    fields: dict[str, int] | None = None
    unit: str = ""
    program: Program = ""
    decimal_comma: bool = False
    fault: str = ""


@dataclass(frozen=True)
class _Header:
    line: int
    delimiter: str
    """The sign between cells; a blank for columns separated by blanks."""
    cells: list[str]
    fields: dict[str, int]

    @property
    def missing(self) -> list[str]:
        return [field for field in COLUMNS if field not in self.fields]


def read_cells(text: str) -> CellTable:
    """Split a pick-and-place table into cells."""
    lines = text.splitlines()
    header = _find_header(lines)
    if header is None or header.missing:
        return CellTable(fault=_missing(header))
    named = [_field_of(cell)[0] for cell in header.cells]
    doubled = [field for field in COLUMNS if named.count(field) > 1]
    if doubled:
        return CellTable(fault=f"line {header.line}: two columns for {', '.join(doubled)}")
    try:
        rows = _rows(lines, header)
    except csv.Error as error:
        return CellTable(fault=f"line {header.line} and below: {error}")
    units = {_field_of(header.cells[header.fields[axis]])[1] for axis in "xy"} - {""}
    if len(units) > 1:
        return CellTable(fault=f"line {header.line}: x and y have different units")
    if re.sub(r"[^a-z]", "", header.cells[header.fields["side"]].lower()).endswith("mirror"):
        rows = [(number, _with_side(row, header.fields["side"])) for number, row in rows]
    declared = DECLARED_UNIT.search("\n".join(lines[: header.line - 1]))
    unit = units.pop() if units else UNIT_NAMES[declared[1].lower()] if declared else ""
    return CellTable(
        rows=tuple(rows),
        fields=header.fields,
        unit=unit,
        program=_program(header),
        decimal_comma=header.delimiter != "," and _all_with_comma(rows, header),
    )


def _with_side(row: list[str], place: int) -> list[str]:
    """Say top or bottom where a table says whether a part is mirrored."""
    if len(row) <= place:
        return row
    return [*row[:place], MIRRORED.get(row[place].strip().lower(), row[place]), *row[place + 1 :]]


def _find_header(lines: list[str]) -> _Header | None:
    """Return the first line that names every field, else the one that names most of them."""
    best: _Header | None = None
    for number, line in enumerate(lines[:MAX_PREAMBLE], 1):
        for header in _readings(number, line):
            if not header.missing:
                return header
            if len(header.fields) > (len(best.fields) if best else 0):
                best = header
    return best


def _readings(number: int, line: str) -> list[_Header]:
    split = [(delimiter, next(csv.reader([line], delimiter=delimiter), [])) for delimiter in DELIMITERS]
    split.append((" ", TWO_WORDS.sub(r"\1\2", line.lstrip("# ")).split()))
    headers = []
    for delimiter, cells in split:
        fields: dict[str, int] = {}
        for place, cell in enumerate(cells):
            field = _field_of(cell)[0]
            if field:
                fields.setdefault(field, place)
        headers.append(_Header(number, delimiter, cells, fields))
    return headers


def _field_of(cell: str) -> tuple[str, str]:
    """Return which field a header's cell names, or none, and the unit that it states."""
    word = re.sub(r"[^a-z0-9]", "", cell.lower())
    for field, names in COLUMNS.items():
        for suffix, unit in UNIT_NAMES.items():
            if word in {known + suffix for known in names}:
                return field, unit
    return "", ""


def _missing(header: _Header | None) -> str:
    if header is None:
        wanted = ", ".join("/".join(names) for names in COLUMNS.values())
        return f"none of the first {MAX_PREAMBLE} lines names columns; it needs one each of {wanted}"
    wanted = "; ".join(f"{field} ({'/'.join(COLUMNS[field])})" for field in header.missing)
    return f"line {header.line} names {', '.join(header.fields)} but has no column for {wanted}"


def _program(header: _Header) -> Program:
    words = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in header.cells]
    if words == ["ref", "val", "package", "posx", "posy", "rot", "side"]:
        return "KiCad"
    return "Altium" if words and words[0] == "designator" else ""


def _rows(lines: list[str], header: _Header) -> list[tuple[int, list[str]]]:
    below = lines[header.line :]
    if header.delimiter != " ":
        rows = csv.reader(io.StringIO("\n".join(below)), delimiter=header.delimiter, skipinitialspace=True)
        return [(header.line + rows.line_num, row) for row in rows]
    if lines[header.line - 1].startswith("#"):
        numbered = [
            (header.line + place, line.split())
            for place, line in enumerate(below, 1)
            if not line.startswith("#")
        ]
        return [(number, _with_value(cells, header)) for number, cells in numbered]
    # Most reports keep to columns of fixed width; one that does not can still be split where no cell holds a blank.
    return max(_fixed_width(lines, header), _words(below, header), key=lambda rows: _numeric(rows, header))


def _words(below: list[str], header: _Header) -> list[tuple[int, list[str]]]:
    """Split lines at blanks; the last cell takes the rest of the line."""
    last = len(header.cells) - 1
    return [
        (header.line + place, line.split(None, last)) for place, line in enumerate(below, 1) if line.strip()
    ]


def _numeric(rows: list[tuple[int, list[str]]], header: _Header) -> int:
    """Count the rows whose rotation is a number and whose places begin like one."""
    return sum(
        len(row) > max(header.fields.values())
        and NUMBER.fullmatch(row[header.fields["rotation"]]) is not None
        and all(NUMBER.match(row[header.fields[axis]]) for axis in "xy")
        for _, row in rows
    )


def _with_value(cells: list[str], header: _Header) -> list[str]:
    """Restore the empty cell that KiCad writes as blanks if a part has no value."""
    short = len(cells) == len(header.cells) - 1 and len(header.cells) > 1
    return [cells[0], "", *cells[1:]] if short else cells


def _fixed_width(lines: list[str], header: _Header) -> list[tuple[int, list[str]]]:
    """Cut lines at the columns of blanks that run through all of them."""
    title = TWO_WORDS.sub(lambda found: found[0].replace(" ", "_"), lines[header.line - 1])
    below = [
        (header.line + place, line) for place, line in enumerate(lines[header.line :], 1) if line.strip()
    ]
    width = max([len(title), *(len(line) for _, line in below)])
    covered = [False] * (width + 1)
    for line in (title, *(line for _, line in below)):
        for place, char in enumerate(line):
            covered[place] = covered[place] or char != " "
    starts = [place for place in range(width) if covered[place] and (place == 0 or not covered[place - 1])]
    # A run of characters without a title belongs to the cell before it, such as a comment of several words.
    starts = [start for start in starts if title[start : _end(start, covered)].strip()]
    bounds = list(zip(starts, [*starts[1:], width], strict=True))
    return [(number, [line[start:end].strip() for start, end in bounds]) for number, line in below]


def _end(start: int, covered: list[bool]) -> int:
    return covered.index(False, start)


def _all_with_comma(rows: list[tuple[int, list[str]]], header: _Header) -> bool:
    lengths = [
        row[header.fields[axis]] for _, row in rows for axis in "xy" if len(row) > max(header.fields.values())
    ]
    return any("," in cell for cell in lengths) and not any("." in cell for cell in lengths)
