"""Pick-and-place lists of programs that write no header, in mm, with one file for each side.

Eagle's ``mountsmd`` writes ``NAME.mnt`` and ``NAME.mnb``, Fusion 360 ``NAME_front.csv`` and ``NAME_back.csv``.
"""

import csv
import re

from sji_edge.recipe.importing.table import NUMBER, CellTable

SIDE_IN_NAME = re.compile(
    r"(?P<top>\.mnt$|(?:^|[^a-z])(?:top|front)(?:[^a-z]|$))|(?P<bottom>\.mnb$|(?:^|[^a-z])(?:bottom|back)(?:[^a-z]|$))",
    re.IGNORECASE,
)
HEADERLESS = ("refdes", "x", "y", "rotation", "package", "side")


def headerless_cells(text: str, name: str) -> CellTable | None:
    """Read a list of name, x, y, angle, value and package.

    Args:
        text: the file's content.
        name: of the file; tells the side.

    Returns:
        The table; None if the lines are no such list.
    """
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        delimiter = next((sign for sign in ",;\t" if line.count(sign) >= len(HEADERLESS) - 1), "")
        cells = next(csv.reader([line], delimiter=delimiter), []) if delimiter else line.split()
        numbers = [cell.strip() for cell in cells[1:4]]
        if len(cells) < len(HEADERLESS) - 1 or not all(map(NUMBER.fullmatch, numbers)):
            return None
        # The value is left out; it is empty in some lines and holds blanks in others.
        rows.append((number, [cells[0], *numbers, cells[-1]]))
    if not rows:
        return None
    found = SIDE_IN_NAME.search(name)
    if found is None:
        return CellTable(
            fault="the table has no column for the side; name the file NAME.mnt or NAME_front.csv for the top, "
            "NAME.mnb or NAME_back.csv for the bottom"
        )
    side = "top" if found["top"] else "bottom"
    return CellTable(
        rows=tuple((number, [*cells, side]) for number, cells in rows),
        fields={field: place for place, field in enumerate(HEADERLESS)},
        program="Eagle",
        decimal_comma=any("," in cell for _, cells in rows for cell in cells[1:3]),
    )
