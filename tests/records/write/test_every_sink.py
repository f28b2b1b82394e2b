"""What every sink keeps to, whichever it is: read back in its own way, compared with what it was given."""

import csv
import json
import math
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.board_records import JOINTS, record, rows

from sji_edge.core.errors import OutputError
from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records import SINKS

Joints = list[tuple[str, str, str, str, float | None]]
SELECT = """
SELECT board, frame_name, refdes, joints.verdict, score FROM boards JOIN joints ON board_id = id
ORDER BY id, position
"""
UNTRUE = {
    "score is NaN": record(1, (replace(JOINTS[0], score=math.nan), *JOINTS[1:])),
    "score is infinite": record(1, (*JOINTS[:2], replace(JOINTS[0], score=math.inf))),
    "limit is NaN": record(1, (*JOINTS[:2], replace(JOINTS[2], upper=math.nan))),
    "PASS without a score": record(1, (*JOINTS[:2], JointRecord("J3", Verdict.PASS, None, 0.4, 0.6))),
    "residual is NaN": record(1, alignment_residual_px=math.nan),
}


def stored(kind: str, path: Path) -> Joints:
    """Every joint of every board: board, frame, refdes, verdict, score."""
    if kind == "sqlite":
        return rows(path, SELECT)
    if kind == "jsonl":
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        lines = [line for line in lines if line["type"] == "joint"]
    else:
        with path.open(newline="", encoding="utf-8") as stream:
            lines = [row | {"score": row["score"] or None} for row in csv.DictReader(stream)]
    scores = [None if line["score"] is None else float(line["score"]) for line in lines]
    return [
        (line["board"], line["frame"], line["refdes"], line["verdict"], score)
        for line, score in zip(lines, scores, strict=True)
    ]


def given(*records) -> Joints:
    return [
        (one.board, one.frame_name, joint.refdes, joint.verdict.value, joint.score)
        for one in records
        for joint in one.joints
    ]


@pytest.fixture(params=SINKS.names())
def kind(request):
    return request.param


def test_a_board_is_there_with_all_its_joints_when_write_returns(kind, tmp_path):
    with closing(SINKS.get(kind)(tmp_path / "file")) as sink:
        for index in range(3):
            sink.write(record(index))
            assert stored(kind, tmp_path / "file") == given(*map(record, range(index + 1)))


@pytest.mark.parametrize("why", UNTRUE)
def test_what_is_no_number_is_refused_with_nothing_stored_and_the_next_board_is_taken(kind, tmp_path, why):
    with closing(SINKS.get(kind)(tmp_path / "file")) as sink:
        sink.write(record(0))
        with pytest.raises(OutputError, match="run-000001"):
            sink.write(UNTRUE[why])
        sink.write(record(2))
    assert stored(kind, tmp_path / "file") == given(record(0), record(2))
    assert "nan" not in (tmp_path / "file").read_bytes().decode("latin-1").lower()


def test_a_board_of_many_joints_keeps_all_of_them_in_their_order(kind, tmp_path):
    joints = tuple(replace(JOINTS[0], refdes=f"J{number}", score=number / 4000) for number in range(1203))
    with closing(SINKS.get(kind)(tmp_path / "file")) as sink:
        sink.write(record(0, joints))
    assert stored(kind, tmp_path / "file") == given(record(0, joints))


def test_names_of_every_script_come_back_as_they_were(kind, tmp_path):
    joints = (replace(JOINTS[0], refdes='R1"; é焊点,😀'), replace(JOINTS[2], refdes="R2 -- '); DROP"))
    odd = record(0, joints, frame_name="Löt stelle 焊.png")
    with closing(SINKS.get(kind)(tmp_path / "file")) as sink:
        sink.write(odd)
    assert stored(kind, tmp_path / "file") == given(odd)


def test_a_file_name_that_is_no_text_is_written_out_and_stops_no_line(kind, tmp_path):
    name = b"frame\xff.png".decode("utf-8", "surrogateescape")
    with closing(SINKS.get(kind)(tmp_path / "file")) as sink:
        sink.write(record(0, (replace(JOINTS[0], refdes=name),), frame_name=name))
    assert stored(kind, tmp_path / "file") == [
        ("run-000000", r"frame\udcff.png", r"frame\udcff.png", "PASS", 0.01)
    ]


def test_control_characters_are_escaped_so_that_a_name_cannot_forge_a_line(kind, tmp_path):
    joints = (replace(JOINTS[0], refdes="R1\nPASS board99", cause="\x1b[2Jgone"),)
    with closing(SINKS.get(kind)(tmp_path / "file")) as sink:
        sink.write(record(0, joints, frame_name="a\r\nb\u202e.png"))
    assert stored(kind, tmp_path / "file") == [
        ("run-000000", r"a\x0d\x0ab\u202e.png", r"R1\x0aPASS board99", "PASS", 0.01)
    ]


def test_a_file_that_is_moved_away_during_a_run_ends_it_with_an_error(kind, tmp_path):
    for leave in (Path.unlink, lambda path: path.rename(tmp_path / "archive")):
        path = tmp_path / "file"
        with closing(SINKS.get(kind)(path)) as sink:
            sink.write(record(0))
            leave(path)
            with pytest.raises(OutputError, match="was moved, deleted or replaced while this run writes"):
                sink.write(record(1))
        for left in tmp_path.glob("file*"):
            left.unlink()


def test_a_file_that_is_truncated_during_a_run_ends_it_with_an_error(kind, tmp_path):
    path = tmp_path / "file"
    cut = path.with_name("file-wal") if kind == "sqlite" else path
    with closing(SINKS.get(kind)(path)) as sink:
        for number in range(20):
            sink.write(record(number))
        os.truncate(cut, 0)
        with pytest.raises(OutputError, match="while this run writes to it"):
            sink.write(record(20))
    assert b"\0" not in path.read_bytes() or kind == "sqlite"


def test_closing_a_sink_again_loses_nothing(kind, tmp_path):
    sink = SINKS.get(kind)(tmp_path / "file")
    sink.write(record(0))
    sink.close()
    sink.close()
    assert stored(kind, tmp_path / "file") == given(record(0))


def test_a_board_without_joints_is_a_board(kind, tmp_path):
    with closing(SINKS.get(kind)(tmp_path / "file")) as sink:
        sink.write(record(0, ()))
    assert stored(kind, tmp_path / "file") == []
    if kind == "sqlite":
        with closing(sqlite3.connect(tmp_path / "file")) as connection:
            assert connection.execute("SELECT count(*) FROM boards").fetchone() == (1,)


def test_a_with_block_closes_a_sink_also_after_an_error(kind, tmp_path):
    def fails():
        with SINKS.get(kind)(str(tmp_path / "file")) as sink:
            opened.append(sink)
            sink.write(record(0))
            raise ZeroDivisionError

    opened = []
    with pytest.raises(ZeroDivisionError):
        fails()
    assert stored(kind, tmp_path / "file") == given(record(0))
    with pytest.raises((OutputError, ValueError)):
        opened[0].write(record(1))
