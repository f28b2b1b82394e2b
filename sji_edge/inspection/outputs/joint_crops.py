"""Keeps the crops of joints that did not pass, for a person to label."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import OutputError
from sji_edge.core.files import write_atomic
from sji_edge.core.preprocess import sample_crop, to_channels
from sji_edge.core.protocols import Frame, JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.outputs.quota_folder import PictureFolder, no_picture
from sji_edge.records.picture_names import crop_picture

TABLE = "crops.csv"
FEW_LINES = 1000
"""Lines of deleted crops that the table may hold, plus one for each crop that exists."""
COLUMNS = ("file", "board", "frame", "refdes", "verdict", "score", "label", "cause", "novelty")
LOOKED_AT = (Verdict.REVIEW, Verdict.FAIL, Verdict.ERROR)


class JointCrops:
    """Keeps the crops of joints that did not pass, to be labelled by a person.

    ``VERDICT/BOARD_REFDES.png`` is the crop that the engine judged; ``crops.csv`` lists each crop's score and label.
    Once a person has sorted them into class folders, they are a training split. Under a quota the table is bounded
    too: lines of deleted crops are removed, many at a time.

    Args:
        store: folder for the crops.
        spec: the crop that the placement's maps belong to.
    """

    def __init__(self, store: PictureFolder, spec: PreprocessSpec) -> None:
        self._store = store
        self._spec = spec
        self._table = _CropTable(store.folder / TABLE, bounded=store.bounded)

    def keep(self, frame: Frame, judgement: Judgement) -> None:
        """Keep the crops of a board's joints that did not pass. A board that was not aligned has none.

        Raises:
            OutputError: a crop cannot be written.
        """
        placement = judgement.placement
        if frame.pixels is None or placement is None:
            return
        prepared = to_channels(frame.pixels, self._spec.channels)
        rows = []
        joints = zip(judgement.record.joints, placement.maps, placement.inside.tolist(), strict=True)
        for joint, crop_map, inside in joints:
            if joint.verdict not in LOOKED_AT or not inside:
                continue
            crop = np.empty(self._spec.shape, np.uint8)
            sample_crop(prepared, crop_map, crop)
            name = crop_picture(joint.verdict.value, judgement.record.board, joint.refdes)
            if self._store.write(name, cv2.imencode(".png", crop)[1].tobytes()) is not None:
                rows.append(_row(name, judgement, joint))
        if rows:
            self._table.add(rows)


class _CropTable:
    """``crops.csv``, with a line for each crop.

    Args:
        path: the table; columns and lines of an existing one are kept.
        bounded: remove lines of deleted crops. Without a quota, only a person deletes crops.
    """

    def __init__(self, path: Path, *, bounded: bool) -> None:
        self._path = path
        self._bounded = bounded
        self._lines = self._most_lines = 0
        if bounded:
            self._tidy()

    def add(self, rows: list[tuple[object, ...]]) -> None:
        """Append the crops of one board, or raise ``OutputError``."""
        if self._bounded and self._lines >= self._most_lines:
            self._tidy()
        try:
            head = [] if self._path.exists() and self._path.stat().st_size else [COLUMNS]
            with self._path.open("ab") as stream:
                stream.write(_text([*head, *rows], "backslashreplace"))
        except OSError as error:
            raise no_picture(self._path, error) from error
        self._lines += len(rows)

    def _tidy(self) -> None:
        """Remove the lines of deleted crops."""
        lines: list[list[str]] = []
        try:
            if self._path.exists() and self._path.stat().st_size:
                # Bytes that a spreadsheet wrote in another encoding are kept as they are.
                with self._path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
                    head, *lines = csv.reader(stream)
                place = head.index("file") if "file" in head else 0
                left = [
                    line for line in lines if (self._path.parent / "".join(line[place : place + 1])).is_file()
                ]
                if len(left) < len(lines):
                    write_atomic(self._path, _text([head, *left], "surrogateescape"), sync=False)
                lines = left
        except (OSError, ValueError, csv.Error) as error:
            raise OutputError(
                f"cannot use {self._path}: {error}", hint="move it to another folder"
            ) from error
        self._lines, self._most_lines = len(lines), 2 * len(lines) + FEW_LINES


def _text(rows: Sequence[Sequence[object]], errors: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", errors)


def _row(name: str, judgement: Judgement, joint: JointRecord) -> tuple[object, ...]:
    score = "" if joint.score is None else joint.score
    record = judgement.record
    return (
        name,
        record.board,
        record.frame_name,
        joint.refdes,
        joint.verdict.value,
        score,
        joint.label,
        joint.cause,
        "" if joint.novelty is None else joint.novelty,
    )
