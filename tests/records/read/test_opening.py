import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from sji_edge.core.errors import OutputError
from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records.read.history import Filter, History
from sji_edge.records.write.sqlite import SqliteSink


def board(number: int) -> BoardRecord:
    joint = JointRecord("J1", Verdict.PASS, 0.1, 0.3, 0.6)
    return BoardRecord(
        f"a-{number:06d}",
        number,
        "f.png",
        "2025-01-30T08:00:00+00:00",
        Verdict.PASS,
        (joint,),
        "e" * 64,
        "r" * 64,
    )


def written(path: Path, boards: int) -> Path:
    with closing(SqliteSink(path)) as sink:
        for number in range(boards):
            sink.write(board(number))
    return path


def entries(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


def boards_in(path: Path) -> int:
    with closing(History(path)) as history:
        return int(history.runs(Filter())[0]["boards"])


def test_reading_a_finished_run_leaves_nothing_behind(tmp_path):
    path = written(tmp_path / "inspections.db", 3)
    before = entries(tmp_path)
    assert set(before) == {"inspections.db"}
    assert boards_in(path) == 3
    assert entries(tmp_path) == before


def test_reading_beside_a_run_sees_its_boards_and_the_run_goes_on(tmp_path):
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path)) as sink:
        sink.write(board(0))
        names = set(entries(tmp_path))
        with closing(History(path)) as history:
            assert history.runs(Filter())[0]["boards"] == 1
            sink.write(board(1))
            assert history.runs(Filter())[0]["boards"] == 2
        assert set(entries(tmp_path)) == names
    assert boards_in(path) == 2


def test_a_log_without_its_index_is_read_from_a_copy(tmp_path):
    path = tmp_path / "run" / "inspections.db"
    path.parent.mkdir()
    archive = tmp_path / "archive"
    archive.mkdir()
    with closing(SqliteSink(path)) as sink:
        sink.write(board(0))
        sink.write(board(1))
        for name in ("inspections.db", "inspections.db-wal"):
            shutil.copy(path.parent / name, archive)
    before = entries(archive)
    assert boards_in(archive / "inspections.db") == 2
    assert entries(archive) == before


def test_a_run_that_begins_while_a_finished_one_is_read_is_seen_or_said(tmp_path):
    path = written(tmp_path / "inspections.db", 2)
    with closing(History(path)) as history:
        assert history.runs(Filter())[0]["boards"] == 2
        with closing(SqliteSink(path)) as sink:
            sink.write(board(2))
        assert history.runs(Filter())[0]["boards"] == 3
        rows = history.joints(Filter())
        next(rows)
        with closing(SqliteSink(path)) as sink:
            sink.write(board(3))
        with pytest.raises(OutputError, match="was written to while it was read"):
            list(rows)


def boards_as(user: int, path: Path) -> str:
    """Count the boards in a process of another user, who may not be able to start this interpreter."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            said = str(boards_in(path))
        except BaseException as error:  # noqa: BLE001 - the child ends here
            said = repr(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as stream:  # noqa: PTH123 - a file descriptor
        said = stream.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to act as two users")
def test_another_user_reads_where_nothing_may_be_written_and_the_line_goes_on():
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o777)
        path = written(folder / "inspections.db", 2)
        path.chmod(0o444)
        before = entries(folder)

        assert boards_as(65534, path) == "2"
        folder.chmod(0o555)
        assert boards_as(12345, path) == "2"
        assert entries(folder) == before
        folder.chmod(0o777)
        path.chmod(0o666)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE boards SET cause = ''")
            connection.commit()
            assert boards_as(12345, path) == "2"
    finally:
        shutil.rmtree(folder)
