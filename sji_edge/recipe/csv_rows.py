"""The CSV tables of a recipe: columns by name, a fault with its line."""

import csv
import io
from collections.abc import Iterator, Sequence

from sji_edge.core.registry import nearest
from sji_edge.recipe.problem import Problem

Cells = dict[str, str]
"""One line's cells by column, without empty ones of columns that may be left out."""


def csv_rows(
    data: bytes, name: str, required: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[int, Cells | Problem]]:
    """Yield the lines of a table that are not blank, or what is wrong with one, each with its number.

    A table that is no CSV, or has other columns, yields nothing but its faults.

    Args:
        data: the file's content, UTF-8 with or without a byte order mark.
        name: how findings call the file.
        required: columns that must be there.
        optional: columns that may be.
    """
    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig")), skipinitialspace=True)
    except UnicodeDecodeError:
        yield 1, Problem(f"{name}: not UTF-8 text")
        return
    try:
        header = [cell.strip() for cell in next(rows, [])]
        lines = [(rows.line_num, [cell.strip() for cell in row]) for row in rows]
    except csv.Error as error:
        yield rows.line_num, Problem(f"{name} line {rows.line_num}: {error}", line=rows.line_num)
        return
    faults = _header_faults(header, required, optional)
    if faults:
        yield from ((1, Problem(f"{name} line 1: {fault}", line=1)) for fault in faults)
        return
    for line, cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(header):
            found = f"{len(cells)} cells, {len(header)} were wanted"
            yield line, Problem(f"{name} line {line}: {found}", line=line)
            continue
        pairs = zip(header, cells, strict=True)
        yield line, {column: cell for column, cell in pairs if cell or column not in optional}


def _header_faults(header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> list[str]:
    known = [*required, *optional]
    doubled = sorted({column for column in header if header.count(column) > 1})
    return [
        *(f"no column {column!r}" for column in required if column not in header),
        *(f"unknown column {column!r}, {nearest(column, known)}" for column in header if column not in known),
        *(f"column {column!r} stands twice" for column in doubled),
    ]
