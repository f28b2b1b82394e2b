"""Which images belong together: ``DATA/labels.csv`` with the columns ``file`` and ``group``.

A group is what must stay in one split: photographs of one board, or taken one after the other. The table is
optional, and so are its other columns. Spreadsheets write it with commas, semicolons or tabs, in UTF-8 or UTF-16,
and with backslashes in paths: all of these are read.
"""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sji_edge.core import run_files
from sji_edge.core.errors import DataError
from sji_edge.core.files import read_bounded
from sji_edge.core.left_out import MAX_EXAMPLES, LeftOut
from sji_edge.core.registry import nearest
from sji_edge.core.text import listing, readable

if TYPE_CHECKING:
    import _csv

    from sji_edge.data.folder import Sample

TABLE = run_files.LABELS
NO_GROUP = ""
MAX_BYTES = 256 << 20
DELIMITERS = ",;\t"
CODINGS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig"))
"""How a table's first bytes tell its coding."""
FILE_COLUMNS = ("file", "filename", "file_name", "path")
GROUP_COLUMNS = ("group", "group_id")
PACKAGE_COLUMNS = ("package", "pad")


@dataclass(frozen=True)
class LabelTable:
    """``labels.csv`` as read: the group of each file by its path below the dataset, and what could not be used."""

    groups: dict[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()


def read_groups(root: Path) -> dict[str, str]:
    """Return the group of each file that ``labels.csv`` names; empty without such a table or column.

    Raises:
        DataError: the table cannot be read, has groups but no files, or gives one file two groups.
    """
    return read_table(root).groups


def rows_left_out(root: Path) -> tuple[LeftOut, ...]:
    """Return what of ``labels.csv`` is not used; raises as ``read_groups``."""
    return read_table(root).left_out


def read_table(root: Path) -> LabelTable:
    """Read ``labels.csv``; raises as ``read_groups``."""
    if not os.path.lexists(root / TABLE):
        return LabelTable(left_out=_other_tables(root))
    return _read(root, GROUP_COLUMNS)


def read_packages(root: Path) -> dict[str, str]:
    """Return the package of each file by its column ``package`` or ``pad``; empty without such a table or column.

    Raises:
        DataError: as ``read_groups``.
    """
    return _read(root, PACKAGE_COLUMNS).groups if os.path.lexists(root / TABLE) else {}


def _read(root: Path, wanted: Sequence[str]) -> LabelTable:
    table = root / TABLE
    text = _decode(table)
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        columns = [cell.strip() for cell in next(rows, [])]
        value_at, file_at = _column(columns, wanted), _column(columns, FILE_COLUMNS)
        if value_at is None:
            return LabelTable(left_out=_no_groups(columns))
        if file_at is None:
            raise DataError(
                f"{table} has a column {columns[value_at]} but none called file; found: {listing(columns, 20)}",
                hint=f"file holds each image's path below {root}",
            )
        return _parse(rows, root, columns, file_at, value_at)
    except csv.Error as error:
        raise DataError(
            f"cannot read {table}, line {rows.line_num}: {error}", hint="save it as CSV in UTF-8"
        ) from error


def groups_of(root: Path, samples: Sequence["Sample"]) -> list[str]:
    """Return each sample's group, ``NO_GROUP`` where none is known; raises as ``read_groups``.

    Args:
        root: the dataset's folder; ``file`` in the table is relative to it.
        samples: images below ``root``.
    """
    known = read_groups(root)
    return [known.get(sample.path.relative_to(root).as_posix(), NO_GROUP) for sample in samples]


def _other_tables(root: Path) -> tuple[LeftOut, ...]:
    """Name files such as ``Labels.csv`` or ``labels.xlsx``, which are not read."""
    stem = Path(TABLE).stem
    entries = sorted(root.iterdir()) if root.is_dir() else []
    names = [readable(path.name) for path in entries if path.stem.casefold() == stem and path.is_file()]
    if not names:
        return ()
    what = f"tables of groups that are not named {TABLE}"
    return (LeftOut(what=what, count=len(names), examples=tuple(names[:MAX_EXAMPLES])),)


def _decode(table: Path) -> str:
    content = read_bounded(table, MAX_BYTES, error=DataError)
    coding = next(name for mark, name in CODINGS if content.startswith(mark))
    try:
        return content.decode(coding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"cannot read {table}: not {'UTF-16' if coding == 'utf-16' else 'UTF-8'} text (byte {error.start})",
            hint="save it as CSV in UTF-8",
        ) from error


def _column(columns: Sequence[str], names: Sequence[str]) -> int | None:
    spelt = [column.casefold() for column in columns]
    return next((spelt.index(name) for name in names if name in spelt), None)


def _no_groups(columns: Sequence[str]) -> tuple[LeftOut, ...]:
    if not any(columns):
        return ()
    near = nearest("group", list(columns))
    shown = readable(listing(columns, 20))
    what = f"{TABLE} without a column group ({near if near.startswith('did') else f'columns: {shown}'})"
    return (LeftOut(what=what, count=1),)


def _parse(
    rows: "_csv.Reader", root: Path, columns: Sequence[str], file_at: int, value_at: int
) -> LabelTable:
    groups: dict[str, str] = {}
    missing: list[str] = []
    for row in rows:
        file = _cell(row, file_at).replace("\\", "/").removeprefix("./")
        group = _cell(row, value_at)
        if not file:
            if any(cell.strip() for cell in row):
                missing.append(f"line {rows.line_num}: no file")
            continue
        if not (root / file).is_file():
            missing.append(f"line {rows.line_num}: {readable(file)}")
        if group and groups.setdefault(file, group) != group:
            raise DataError(
                f"{root / TABLE}, line {rows.line_num}: {readable(file)} is in {columns[value_at].casefold()} "
                f"{group}, but an earlier row says {groups[file]}",
                hint="keep one line per file",
            )
    left_out = LeftOut(
        what=f"rows of {TABLE} that name no file", count=len(missing), examples=tuple(missing[:MAX_EXAMPLES])
    )
    return LabelTable(groups, (left_out,) if missing else ())


def _cell(row: Sequence[str], place: int) -> str:
    return row[place].strip() if place < len(row) else ""
