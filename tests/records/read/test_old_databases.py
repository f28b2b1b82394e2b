"""Databases that earlier versions wrote (``support/old_databases``): nothing is lost when they are migrated."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.board_records import record, rows

from sji_edge.records.read.history import JOINT_COLUMNS, Filter
from sji_edge.records.read.units import ProductYield, UnitHistory
from sji_edge.records.write.sqlite import SCHEMA_VERSION, SqliteSink

OLD = Path(__file__).parents[2] / "support" / "old_databases"
VERSIONS = range(1, SCHEMA_VERSION)


@pytest.fixture
def old(tmp_path, request):
    path = tmp_path / "inspections.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((OLD / f"schema{request.param}.sql").read_text())
        assert connection.execute("PRAGMA user_version").fetchone()[0] == request.param
    return path


def answers(path):
    """What the reading commands say."""
    with closing(UnitHistory(path)) as history:
        boards = history.boards(Filter(), 50)
        joints = [dict(zip(JOINT_COLUMNS, row, strict=True)) for row in history.joints(Filter())]
        return boards, joints, history.runs(Filter()), history.yields(Filter()), history.counts(Filter())


@pytest.mark.parametrize("old", VERSIONS, indirect=True)
def test_a_database_answers_the_same_before_and_after_its_migration(old):
    tables = {
        name: rows(old, f"SELECT * FROM {name}")
        for (name,) in rows(old, "SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    }
    before = answers(old)
    SqliteSink(old).close()
    assert rows(old, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert answers(old) == before
    for name, content in tables.items():
        width = len(content[0]) if content else 0
        assert [row[:width] for row in rows(old, f"SELECT * FROM {name}")] == content
    assert rows(old, "PRAGMA integrity_check") == [("ok",)]
    assert rows(old, "PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("old", VERSIONS, indirect=True)
def test_old_boards_are_units_without_a_serial_number(old):
    SqliteSink(old).close()
    boards = rows(old, "SELECT id, verdict, cause FROM boards ORDER BY id")
    assert rows(old, "SELECT board_id, verdict, cause FROM units WHERE unit = '' AND serial = ''") == boards
    with closing(UnitHistory(old)) as history:
        assert history.yields(Filter()) == [ProductYield("", 2, 1, 1, 0, 1, 0, 2)]
        assert history.tests_of("SN1") == []


@pytest.mark.parametrize("old", VERSIONS, indirect=True)
def test_a_database_that_nobody_migrated_has_no_serial_numbers_and_is_not_changed(old):
    content = old.read_bytes()
    with closing(UnitHistory(old)) as history:
        assert history.boards(Filter(serial="SN1"), 50) == []
        assert history.tests_of("SN1") == []
        assert history.boards(Filter(), 50)[0]["serial"] == ""
    assert old.read_bytes() == content


@pytest.mark.parametrize("old", [1, SCHEMA_VERSION - 1], indirect=True)
def test_a_run_goes_on_in_an_old_database(old):
    with closing(SqliteSink(old)) as sink:
        sink.write(record(7, serial="SN1"))
    with closing(UnitHistory(old)) as history:
        assert [row["board"] for row in history.boards(Filter(serial="SN1"), 50)] == ["run-000007"]
        assert len(history.boards(Filter(), 50)) == 4
