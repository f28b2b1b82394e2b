"""Writes records to a CSV table for spreadsheets, one line per joint."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from sji_edge.core.errors import OutputError
from sji_edge.core.files import StrPath
from sji_edge.core.protocols import BoardRecord
from sji_edge.records.cells import plain_cells
from sji_edge.records.latencies import LATENCY_COLUMNS, in_ms
from sji_edge.records.write.appending import AppendedFile
from sji_edge.records.write.closing import ClosedOnExit
from sji_edge.records.write.validate import fit

COLUMNS = (
    "board",
    "utc",
    "serial",
    "product",
    "frame",
    "board_verdict",
    "refdes",
    "verdict",
    "score",
    "lower",
    "upper",
    "novelty",
    "novelty_limit",
    "deviation",
    "label",
    "cause",
    *LATENCY_COLUMNS,
    "engine_sha256",
    "recipe_sha256",
)


class CsvSink(ClosedOnExit):
    """Appends to a file that only this run writes; all lines of a board are written in one call.

    Latencies belong to the board and are the same for each of its joints; ``since_capture_ms`` is the time from
    capture to verdict. A stage that was not reached and a joint without a score have an empty cell. Text that a
    spreadsheet would take for a formula has an apostrophe before it.

    Args:
        path: the file to create.

    Raises:
        OutputError: it already exists, or cannot be written.
    """

    def __init__(self, path: StrPath) -> None:
        self._file = AppendedFile(Path(path))
        self._append(_text([COLUMNS]), "the header")

    def write(self, record: BoardRecord) -> None:
        """Record one board with all its joints, or raise ``OutputError`` having recorded none of it."""
        record = fit(record)
        latencies = ["" if value is None else value for value in in_ms(record.latency_ns)]
        rows = [
            (
                record.board,
                record.utc,
                record.serial,
                record.product,
                record.frame_name,
                record.verdict.value,
                joint.refdes,
                joint.verdict.value,
                "" if joint.score is None else joint.score,
                joint.lower,
                joint.upper,
                "" if joint.novelty is None else joint.novelty,
                "" if joint.novelty_limit is None else joint.novelty_limit,
                "" if joint.deviation is None else joint.deviation,
                joint.label,
                joint.cause,
                *latencies,
                record.engine_sha256,
                record.recipe_sha256,
            )
            for joint in record.joints
        ]
        self._append(_text(rows), f"board {record.board}")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def _append(self, data: bytes, what: str) -> None:
        try:
            self._file.append(data)
        except OSError as error:
            raise OutputError(f"cannot record {what} into {self._file.path}: {error.strerror}") from error


def _text(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(plain_cells(row) for row in rows)
    return text.getvalue().encode()
