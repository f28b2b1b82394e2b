"""Writes records as JSON lines: one for each joint, then one for their board."""

import json
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path

from sji_edge.core.errors import OutputError
from sji_edge.core.files import StrPath
from sji_edge.core.joint_table import columns_of
from sji_edge.core.protocols import BoardRecord
from sji_edge.records.write.appending import AppendedFile
from sji_edge.records.write.closing import ClosedOnExit
from sji_edge.records.write.validate import fit


class JsonlSink(ClosedOnExit):
    """Appends to a file that only this run writes; all lines of a board are written in one call.

    A board is complete once its ``"type": "board"`` line is there, because that comes last. When a file exceeds
    ``rotate_bytes``, the next board starts ``NAME.0002.jsonl``, and so on; no file is renamed.

    Args:
        path: the first file to create.
        rotate_bytes: size from which the next board goes into a new file; 0 for never.

    Raises:
        OutputError: it already exists, or cannot be created.
    """

    def __init__(self, path: StrPath, rotate_bytes: int = 0) -> None:
        self._path = Path(path)
        self._rotate_bytes = rotate_bytes
        self._pieces = 1
        self._file = AppendedFile(self._path)

    def write(self, record: BoardRecord) -> None:
        """Record one board with all its joints, or raise ``OutputError`` having recorded none of it."""
        record = fit(record)
        data = _lines(record).encode()
        if self._rotate_bytes and self._file.size >= self._rotate_bytes:
            self._next_piece()
        try:
            self._file.append(data)
        except OSError as error:
            raise OutputError(
                f"cannot record board {record.board} into {self._file.path}: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def _next_piece(self) -> None:
        self._pieces += 1
        following = AppendedFile(self._path.with_suffix(f".{self._pieces:04d}{self._path.suffix}"))
        self._file.close()
        self._file = following


def _lines(record: BoardRecord) -> str:
    head = f'{{"type": "joint", "board": {_quoted(record.board)}, "frame": {_quoted(record.frame_name)}, '
    lines = [
        f'{head}"refdes": {_quoted(refdes)}, "verdict": "{verdict}", "score": {_number(score)}, '
        f'"lower": {_number(lower)}, "upper": {_number(upper)}, "novelty": {_number(novelty)}, '
        f'"novelty_limit": {_number(limit)}, "deviation": {_number(deviation)}, '
        f'"label": {_quoted(label)}, "cause": {_quoted(cause)}}}\n'
        for refdes, verdict, score, lower, upper, label, cause, novelty, limit, deviation in zip(
            *columns_of(record.joints), strict=True
        )
    ]
    board = {
        "type": "board",
        "board": record.board,
        "frame": record.frame_name,
        "frame_index": record.frame_index,
        "utc": record.utc,
        "serial": record.serial,
        "retest": record.retest,
        "verdict": record.verdict.value,
        "cause": record.cause,
        "units": [
            {
                "unit": unit.name,
                "serial": unit.serial,
                "retest": unit.retest,
                "verdict": unit.verdict.value if unit.verdict else "SKIPPED",
                "cause": unit.cause,
            }
            for unit in record.units
        ],
        "joints": len(record.joints),
        "alignment_residual_px": record.alignment_residual_px,
        "engine_sha256": record.engine_sha256,
        "recipe_sha256": record.recipe_sha256,
        "product": record.product,
        "recipe_version": record.recipe_version,
        "latency_ns": dict(record.latency_ns),
    }
    return "".join(lines) + f"{json.dumps(board, allow_nan=False)}\n"


def _number(value: float | None) -> str:
    """Write a finite number as ``json.dumps`` does, which spends three times as long on a joint."""
    return "null" if value is None else float.__repr__(float(value))
