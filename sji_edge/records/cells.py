"""Makes cells of a CSV table that a spreadsheet shows as text and does not run as a formula."""

from collections.abc import Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet take a cell for a formula."""


def plain_cells(row: Sequence[object]) -> list[object]:
    """Put an apostrophe before each text that a spreadsheet would run; numbers stay numbers.

    File names, refdes and causes come from outside: ``=HYPERLINK(...)`` as the name of a picture must not run on the
    reader's computer.
    """
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell for cell in row]
