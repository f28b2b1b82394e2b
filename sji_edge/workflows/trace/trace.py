"""Collects everything on record about one serial number, and writes it as one page."""

import base64
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sji_edge.core.decisions import DecisionRow
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.files import StrPath, write_atomic
from sji_edge.core.read_only_database import open_read_only
from sji_edge.core.text import readable
from sji_edge.decisions.read import read_decisions
from sji_edge.records.picture_names import PictureKind, board_picture, crop_picture, painted_picture
from sji_edge.records.read.units import UnitHistory
from sji_edge.workflows.trace.page import trace_page

MAX_PICTURE_BYTES = 32 << 20
MEDIA = {".jpg": "image/jpeg", ".png": "image/png"}


@dataclass(frozen=True)
class Picture:
    """A picture of a test: what it shows, and its content; or why it is not there."""

    title: str
    data_uri: str = ""
    missing: str = ""


@dataclass(frozen=True)
class UnitTest:
    """One test of a unit: the board's row, its joints, its pictures, and what people answered."""

    board: dict[str, Any]
    joints: tuple[dict[str, Any], ...]
    pictures: tuple[Picture, ...]
    decisions: tuple[DecisionRow, ...]


@dataclass(frozen=True)
class Trace:
    """Everything on record about a serial number, the oldest test first."""

    serial: str
    tests: tuple[UnitTest, ...]


def trace(database: StrPath, serial: str) -> Trace:
    """Collect everything on record about a serial number.

    Args:
        database: ``inspections.db``.
        serial: of a board, a panel or a unit of a panel.

    Raises:
        UsageError: there is no such database, it is not one of ours, or no board on record has this serial number.
        OutputError: it cannot be read now.
    """
    path = Path(database)
    with closing(UnitHistory(path)) as history:
        rows = history.tests_of(readable(serial))
        found = [(row, history.joints_of(row["id"], row["unit"])) for row in rows]
        # A folder is on record relative to the database, so that both can be moved.
        folders = [
            {
                kind: path.parent / folder
                for kind, folder in history.picture_folders(_run(row["board"])).items()
            }
            for row in rows
        ]
    if not found:
        raise UsageError(
            f"no board on record has the serial number {readable(serial)[:80]}",
            hint="sji-edge inspections boards lists the serial numbers on record",
        )
    answers = _answers(path, [row["board"] for row, _ in found])
    tests = [
        UnitTest(
            row,
            tuple(joints),
            tuple(_pictures(row, joints, kept)),
            tuple(one for one in answers if one.subject == row["board"] and _concerns(one, row["unit"])),
        )
        for (row, joints), kept in zip(found, folders, strict=True)
    ]
    return Trace(serial, tuple(tests))


def write_trace(database: StrPath, serial: str, file: StrPath) -> Trace:
    """Write everything on record about a serial number into a new HTML file that needs no other file.

    Raises:
        UsageError: as ``trace``.
        OutputError: the file exists or cannot be written, or the database cannot be read.
    """
    found = trace(database, serial)
    path = Path(file)
    if path.exists():
        raise OutputError(f"{path} already exists and is never overwritten", hint="choose another name")
    write_atomic(path, trace_page(found))
    return found


def _run(board: str) -> str:
    return board.rpartition("-")[0]


def _concerns(answer: DecisionRow, unit: str) -> bool:
    return not unit or not answer.refdes or answer.refdes.startswith(f"{unit}/")


def _answers(path: Path, boards: Sequence[str]) -> list[DecisionRow]:
    opened = open_read_only(path)
    with closing(opened):
        return [
            row for board in dict.fromkeys(boards) for row in read_decisions(opened.connection, board=board)
        ]


def _pictures(row: dict[str, Any], joints: list[dict[str, Any]], folders: dict[str, Path]) -> list[Picture]:
    wanted = {
        PictureKind.PAINTED: [("board with its verdicts", painted_picture(row["board"], row["frame_name"]))],
        PictureKind.BOARD: [("board", board_picture(row["board"]))],
        PictureKind.CROP: [
            (f"joint {joint['refdes']}", crop_picture(joint["verdict"], row["board"], joint["refdes"]))
            for joint in joints
            if joint["verdict"] != "PASS"
        ],
    }
    return [
        _read(title, folders[kind] / name)
        for kind, named in wanted.items()
        if kind in folders
        for title, name in named
    ]


def _read(title: str, path: Path) -> Picture:
    try:
        if path.stat().st_size > MAX_PICTURE_BYTES:
            return Picture(title, missing=f"{path} is too large")
        content = path.read_bytes()
    except OSError:
        return Picture(title, missing=f"{path} was not kept, or was deleted")
    return Picture(title, f"data:{MEDIA[path.suffix]};base64,{base64.b64encode(content).decode()}")
