"""Records as lines of JSON: one for each joint, then one for the board that they belong to."""

import json
import os
from pathlib import Path
from typing import Any

from sji_edge.core.errors import OutputError
from sji_edge.core.protocols import BoardRecord


class JsonlSink:
    """Appends to a file that only this run writes; a board's lines go to the system in one piece.

    A reader takes a board as complete when its ``"type": "board"`` line is there: it comes last.

    Args:
        path: the file to make.

    Raises:
        OutputError: it exists already, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError as error:
            raise OutputError(f"{path} exists already, and nothing is overwritten") from error
        except OSError as error:
            raise OutputError(
                f"cannot make {path}: {error.strerror}", hint="choose another --output"
            ) from error

    def write(self, record: BoardRecord) -> None:
        """Record one board with all its joints, or raise ``OutputError`` having recorded none of it."""
        data = "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in _lines(record)).encode()
        start = self._file.tell()
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            os.ftruncate(self._file.fileno(), start)
            self._file.seek(start)
            raise OutputError(
                f"cannot record board {record.board} into {self._path}: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


def _lines(record: BoardRecord) -> list[dict[str, Any]]:
    joints: list[dict[str, Any]] = [
        {
            "type": "joint",
            "board": record.board,
            "frame": record.frame_name,
            "refdes": joint.refdes,
            "verdict": joint.verdict.value,
            "score": joint.score,
            "lower": joint.lower,
            "upper": joint.upper,
            "label": joint.label,
            "cause": joint.cause,
        }
        for joint in record.joints
    ]
    board = {
        "type": "board",
        "board": record.board,
        "frame": record.frame_name,
        "frame_index": record.frame_index,
        "utc": record.utc,
        "verdict": record.verdict.value,
        "cause": record.cause,
        "joints": len(record.joints),
        "alignment_residual_px": record.alignment_residual_px,
        "engine_sha256": record.engine_sha256,
        "recipe_sha256": record.recipe_sha256,
        "latency_ns": dict(record.latency_ns),
    }
    return [*joints, board]
