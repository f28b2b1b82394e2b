"""The CSV tables of a recipe: columns by name, each fault with its line."""

import csv
import io
from collections.abc import Iterator, Sequence

from sji_edge.core.registry import nearest
from sji_edge.core.text import readable
from sji_edge.recipe.coding import coding_fault
from sji_edge.recipe.problem import Problem

DELIMITERS = ",;\t"

Cells = dict[str, str]
"""One line's cells by column; empty cells of optional columns are dropped."""


def csv_rows(
    data: bytes, name: str, required: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[int, Cells | Problem]]:
    """Yield each line that is not blank, or what is wrong with it, with its number.

    A file that is not a table, or has other columns, yields only its faults.

    Args:
        data: the file's content, UTF-8 with or without a byte order mark; cells are separated by commas,
            semicolons or tabs.
        name: what messages call the file.
        required: columns that must be there.
        optional: columns that may be.
    """
    if fault := coding_fault(data):
        yield 1, Problem(f"{name}: {fault}")
        return
    text = data.decode("utf-8-sig")
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
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
            fault = f"{len(cells)} cells, but the header has {len(header)}"
            yield line, Problem(f"{name} line {line}: {fault}", line=line)
            continue
        pairs = zip(header, cells, strict=True)
        yield line, {column: cell for column, cell in pairs if cell or column not in optional}


def _header_faults(header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> list[str]:
    known = [*required, *optional]
    doubled = sorted({column for column in header if header.count(column) > 1})
    unknown = [column for column in header if column not in known]
    return [
        *(f"no column {column!r}" for column in required if column not in header),
        *(f"unknown column {readable(column)!r}, {nearest(column, known)}" for column in unknown),
        *(f"duplicate column {column!r}" for column in doubled),
    ]
