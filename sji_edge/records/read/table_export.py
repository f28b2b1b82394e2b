"""Exports records as one table: CSV, or Parquet with an extra."""

import csv
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.extras import load
from sji_edge.records.cells import plain_cells
from sji_edge.records.latencies import LATENCY_COLUMNS
from sji_edge.records.read.history import JOINT_COLUMNS

BATCH = 10_000
FLOATS = ("score", "lower", "upper", "novelty", "novelty_limit", "deviation", *LATENCY_COLUMNS)

Rows = Iterator[tuple[Any, ...]]


def export_joints(rows: Rows, path: Path) -> int:
    """Write joints to a new file, completely or not at all; returns their number.

    Args:
        rows: of ``History.joints``.
        path: ``.csv`` or ``.parquet``; must not exist yet.

    Raises:
        UsageError: another suffix.
        MissingExtraError: Parquet without pyarrow.
        OutputError: the file exists, or cannot be written.
    """
    writers: dict[str, Callable[[Rows, Path], int]] = {".csv": _write_csv, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise UsageError(f"{path} ends in neither .csv nor .parquet", hint="choose one of the two")
    if os.path.lexists(path):
        raise _exists(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            table = Path(folder) / path.name
            count = writers[path.suffix](rows, table)
            publish(table, path)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return count


def _exists(path: Path) -> OutputError:
    return OutputError(f"{path} already exists and is never overwritten", hint="choose another name")


def publish(table: Path, path: Path) -> None:
    """Give a complete file its final name in one step that fails where the name is taken meanwhile.

    Raises:
        FileExistsError: something has that name.
    """
    try:
        os.link(table, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links, such as a USB stick's: reserve the name, then replace what was reserved.
        path.open("xb").close()
        table.replace(path)


def _write_csv(rows: Rows, path: Path) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(JOINT_COLUMNS)
        for row in rows:
            writer.writerow(plain_cells(row))
            count += 1
    return count


def _write_parquet(rows: Rows, path: Path) -> int:
    arrow: Any = load("pyarrow", purpose="Parquet")
    parquet: Any = load("pyarrow.parquet", purpose="Parquet")
    kinds = {name: arrow.float64() if name in FLOATS else arrow.string() for name in JOINT_COLUMNS}
    schema = arrow.schema(list(kinds.items()))
    count = 0
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, BATCH)):
            columns = dict(zip(JOINT_COLUMNS, zip(*batch, strict=True), strict=True))
            writer.write_table(arrow.table({name: list(values) for name, values in columns.items()}, schema))
            count += len(batch)
    return count
