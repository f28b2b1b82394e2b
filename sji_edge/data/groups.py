"""Which images belong together: ``DATA/labels.csv`` with the columns ``file`` and ``group``.

A group is what may not be torn apart: photographs of one board, or taken one after the other. The table is
optional; its other columns are left alone.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from sji_edge.core import run_files
from sji_edge.core.errors import DataError
from sji_edge.data.folder import Sample

TABLE = run_files.LABELS
NO_GROUP = ""


def read_groups(root: Path) -> dict[str, str]:
    """Return the group of each file that ``labels.csv`` names; empty without such a table or column.

    Raises:
        DataError: the table cannot be read, has groups but no files, or gives one file two groups.
    """
    table = root / TABLE
    if not table.is_file():
        return {}
    known: dict[str, str] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            columns = rows.fieldnames or ()
            if "group" not in columns:
                return {}
            if "file" not in columns:
                raise DataError(
                    f"{table} has a column group but none called file; found: {', '.join(columns)}",
                    hint=f"file holds each image's path below {root}",
                )
            for row in rows:
                _enter(known, row["file"] or "", row["group"] or "", f"{table}, line {rows.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {table}: {error}", hint="save it as CSV in UTF-8") from error
    return known


def groups_of(root: Path, samples: Sequence[Sample]) -> list[str]:
    """Return each sample's group, ``NO_GROUP`` where none is known; raises as ``read_groups``.

    Args:
        root: the dataset's folder; ``file`` in the table is relative to it.
        samples: images below ``root``.
    """
    known = read_groups(root)
    return [known.get(sample.path.relative_to(root).as_posix(), NO_GROUP) for sample in samples]


def _enter(known: dict[str, str], file: str, group: str, place: str) -> None:
    if file and group and known.setdefault(file, group) != group:
        raise DataError(
            f"{place}: {file} is in group {group}, and before in {known[file]}", hint="keep one line a file"
        )
