import csv
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.board_records import JOINTS, record, rows

from sji_edge.core.errors import OutputError
from sji_edge.core.protocols import JointRecord, UnitRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records import SINKS
from sji_edge.records.read.history import JOINT_COLUMNS, Filter, History
from sji_edge.records.write.jsonl import JsonlSink
from sji_edge.records.write.sqlite import MIGRATIONS, SCHEMA_VERSION, SqliteSink


def lines(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_database_keeps_the_whole_record(tmp_path):
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path)) as sink:
        sink.write(record())
    board = rows(path, "SELECT * FROM boards")[0]
    assert board == (
        1,
        "run-000000",
        0,
        "board0.png",
        "2025-01-31T08:09:10.123456+00:00",
        "ERROR",
        "outside-frame: joint J3",
        0.03,
        "e" * 64,
        "r" * 64,
        '{"infer": 1000000}',
        *("", 0, "", ""),
    )
    assert rows(path, "SELECT * FROM units") == [(1, 0, "", "", "ERROR", "outside-frame: joint J3", 0)]
    assert rows(path, "SELECT * FROM joints ORDER BY position") == [
        (1, 0, "J1", "PASS", 0.01, 0.4, 0.6, "normal", "", None, None, None),
        (1, 1, "J2", "FAIL", 0.97, 0.4, 0.6, "insufficient", "", None, None, None),
        (1, 2, "J3", "ERROR", None, 0.4, 0.6, "", "outside-frame", None, None, None),
    ]
    assert rows(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


PANEL = {
    "serial": "P7",
    "retest": 1,
    "product": "amplifier",
    "recipe_version": "3",
    "units": (
        UnitRecord("U1", Verdict.FAIL, "SN1", retest=2),
        UnitRecord("U2", Verdict.ERROR, "", "no-serial: no code was read"),
        UnitRecord("U3", None),
    ),
}


def test_a_panel_is_on_record_with_its_units(tmp_path):
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path)) as sink:
        sink.write(record(**PANEL))
    assert rows(path, "SELECT serial, retest, product, recipe_version FROM boards") == [
        ("P7", 1, "amplifier", "3")
    ]
    assert rows(path, "SELECT unit, serial, verdict, cause, retest FROM units") == [
        ("U1", "SN1", "FAIL", "", 2),
        ("U2", "", "ERROR", "no-serial: no code was read", 0),
        ("U3", "", "SKIPPED", "", 0),
    ]
    with closing(JsonlSink(tmp_path / "run.jsonl")) as sink:
        sink.write(record(**PANEL))
    board = lines(tmp_path / "run.jsonl")[-1]
    assert (board["serial"], board["retest"], board["product"]) == ("P7", 1, "amplifier")
    assert [(unit["unit"], unit["serial"], unit["verdict"]) for unit in board["units"]] == [
        ("U1", "SN1", "FAIL"),
        ("U2", "", "ERROR"),
        ("U3", "", "SKIPPED"),
    ]


def test_a_serial_number_is_counted_once_for_each_board_that_has_it(tmp_path):
    with closing(SqliteSink(tmp_path / "inspections.db")) as sink:
        assert sink.times_seen("SN1") == 0
        sink.write(record(0, serial="SN1"))
        sink.write(record(1, serial="SN1", units=(UnitRecord("U1", Verdict.PASS, "SN1"),)))
        sink.write(record(2, serial="P2", units=(UnitRecord("U1", Verdict.PASS, "SN1"),)))
        sink.write(record(3))
        assert (sink.times_seen("SN1"), sink.times_seen("P2"), sink.times_seen("")) == (3, 1, 0)


def test_lines_are_one_a_joint_and_the_board_last(tmp_path):
    path = tmp_path / "run.jsonl"
    with closing(JsonlSink(path)) as sink:
        sink.write(record())
        # On disk for a reader before the sink is closed.
        found = lines(path)
    assert [line["type"] for line in found] == ["joint", "joint", "joint", "board"]
    assert found[1] == {
        "type": "joint",
        "board": "run-000000",
        "frame": "board0.png",
        "refdes": "J2",
        "verdict": "FAIL",
        "score": 0.97,
        "lower": 0.4,
        "upper": 0.6,
        "novelty": None,
        "novelty_limit": None,
        "deviation": None,
        "label": "insufficient",
        "cause": "",
    }
    assert found[3]["joints"] == 3
    assert found[3]["verdict"] == "ERROR"
    assert found[3]["latency_ns"] == {"infer": 1_000_000}


def test_database_is_added_to(tmp_path):
    path = tmp_path / "inspections.db"
    for index in range(3):
        with closing(SqliteSink(path)) as sink:
            sink.write(record(index))
    assert rows(path, "SELECT board FROM boards ORDER BY id") == [(f"run-{index:06d}",) for index in range(3)]


def test_lines_are_never_written_over(tmp_path):
    path = tmp_path / "run.jsonl"
    JsonlSink(path).close()
    with pytest.raises(OutputError, match="already exists"):
        JsonlSink(path)


def test_a_file_of_lines_that_has_grown_is_left_and_the_next_begun(tmp_path):
    path = tmp_path / "run.jsonl"
    with closing(JsonlSink(path, rotate_bytes=1500)) as sink:
        for index in range(7):
            sink.write(record(index))
    pieces = [path, *sorted(tmp_path.glob("run.0*.jsonl"))]
    assert len(pieces) > 2
    found = [lines(piece) for piece in pieces]
    assert all(piece[-1]["type"] == "board" for piece in found)
    boards = [line["frame_index"] for piece in found for line in piece if line["type"] == "board"]
    assert boards == list(range(7))


def test_a_csv_line_a_joint_reads_back_as_it_was(tmp_path):
    path = tmp_path / "run.csv"
    odd = replace(JOINTS[1], refdes='J"2", ä', label="cold, solder")
    with closing(SINKS.get("csv")(path)) as sink:
        sink.write(record(joints=(JOINTS[0], odd, JOINTS[2]), latency_ns={"since_capture": 1_234_567}))
    with path.open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    assert [row["refdes"] for row in found] == ["J1", 'J"2", ä', "J3"]
    assert found[1]["label"] == "cold, solder"
    assert [row["score"] for row in found] == ["0.01", "0.97", ""]
    assert found[0]["since_capture_ms"] == "1.235"
    assert found[0]["infer_ms"] == ""
    assert found[2]["cause"] == "outside-frame"


def test_board_that_is_refused_leaves_nothing_of_it(tmp_path):
    # A PASS without a score is what a database of verdicts must never hold.
    untrue = (*JOINTS[:2], JointRecord("J3", Verdict.PASS, None, 0.4, 0.6))
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path)) as sink:
        sink.write(record(0))
        for bad in (record(1, joints=untrue), record(0)):
            with pytest.raises(OutputError, match="cannot record"):
                sink.write(bad)
        sink.write(record(2))
    assert rows(path, "SELECT frame_index FROM boards") == [(0,), (2,)]
    assert rows(path, "SELECT count(*) FROM joints") == [(6,)]


def test_database_of_another_program_schema_or_no_database_is_refused_unchanged(tmp_path):
    other, newer, text = tmp_path / "other.db", tmp_path / "newer.db", tmp_path / "text.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    SqliteSink(newer).close()
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    text.write_text("this is no database, but it is long enough to look at. " * 40)
    for path, wanted in (
        (other, "another program"),
        (newer, f"schema {SCHEMA_VERSION + 1}"),
        (text, "not a database"),
    ):
        with pytest.raises(OutputError, match=wanted) as caught:
            SqliteSink(path)
        assert caught.value.exit_code == 7
    assert rows(other, "SELECT name FROM sqlite_master") == [("notes",)]
    assert text.read_text().startswith("this is no database")


GUARDED = (
    JointRecord("J1", Verdict.PASS, 0.01, 0.4, 0.6, "normal", novelty=0.25, novelty_limit=1.0, deviation=0.5),
    JointRecord("J2", Verdict.REVIEW, 0.02, 0.4, 0.6, "normal", "unlike-training", 1.5, 1.0, 0.75),
    JointRecord("J3", Verdict.ERROR, None, 0.4, 0.6, cause="hidden", novelty_limit=1.0),
)
FIRST_SCHEMA = """
CREATE TABLE boards (
    id INTEGER PRIMARY KEY, board TEXT NOT NULL UNIQUE, frame_index INTEGER NOT NULL, frame_name TEXT NOT NULL,
    utc TEXT NOT NULL, verdict TEXT NOT NULL, cause TEXT NOT NULL, alignment_residual_px REAL,
    engine_sha256 TEXT NOT NULL, recipe_sha256 TEXT NOT NULL, latency_ns TEXT NOT NULL
);
CREATE TABLE joints (
    board_id INTEGER NOT NULL REFERENCES boards (id), position INTEGER NOT NULL, refdes TEXT NOT NULL,
    verdict TEXT NOT NULL, score REAL, lower REAL NOT NULL, upper REAL NOT NULL, label TEXT NOT NULL,
    cause TEXT NOT NULL, PRIMARY KEY (board_id, position)
) WITHOUT ROWID;
INSERT INTO boards VALUES (1, 'old-000000', 0, 'old.png', '2024-01-01', 'PASS', '', NULL, 'e', 'r', '{}');
INSERT INTO joints VALUES (1, 0, 'J1', 'PASS', 0.1, 0.4, 0.6, 'normal', '');
PRAGMA application_id = 1397377349;
PRAGMA user_version = 1;
"""


def test_a_database_of_the_first_schema_is_migrated_with_all_its_content(tmp_path):
    path = tmp_path / "inspections.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_SCHEMA)
    with closing(SqliteSink(path)) as sink:
        sink.write(record(1))
    assert rows(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert rows(path, "SELECT board FROM boards ORDER BY id") == [("old-000000",), ("run-000001",)]
    assert ("boards_by_time",) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'index'")
    # A second opening changes nothing.
    SqliteSink(path).close()
    assert rows(path, "SELECT count(*) FROM joints") == [(4,)]


def at_version(path: Path, version: int) -> None:
    """Make a database of an older schema, with one board of one joint."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_SCHEMA)
        for before in range(2, version + 1):
            for statement in MIGRATIONS[before]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()


@pytest.mark.parametrize("version", [1, 5])
def test_a_database_from_before_the_review_station_takes_decisions_and_keeps_its_boards(version, tmp_path):
    path = tmp_path / "inspections.db"
    at_version(path, version)
    before = rows(path, "SELECT * FROM boards")
    SqliteSink(path).close()
    assert [row[: len(before[0])] for row in rows(path, "SELECT * FROM boards")] == before
    assert rows(path, "SELECT refdes, verdict, score FROM joints") == [("J1", "PASS", 0.1)]
    assert rows(path, "SELECT count(*) FROM decisions") == [(0,)]


@pytest.mark.parametrize("version", [3, 4])
def test_a_database_without_the_guards_figures_keeps_its_joints_when_it_is_migrated(version, tmp_path):
    path = tmp_path / "inspections.db"
    at_version(path, version)
    with closing(History(path)) as history:
        old = dict(zip(JOINT_COLUMNS, next(history.joints(Filter())), strict=True))
    assert (old["refdes"], old["novelty"], old["novelty_limit"], old["deviation"]) == ("J1", None, None, None)
    with closing(SqliteSink(path)) as sink:
        sink.write(record(1, joints=GUARDED))
    assert rows(
        path,
        "SELECT refdes, cause, novelty, novelty_limit, deviation FROM joints ORDER BY board_id, position",
    ) == [
        ("J1", "", None, None, None),
        ("J1", "", 0.25, 1.0, 0.5),
        ("J2", "unlike-training", 1.5, 1.0, 0.75),
        ("J3", "hidden", None, 1.0, None),
    ]
    with closing(History(path)) as history:
        shown = [dict(zip(JOINT_COLUMNS, row, strict=True)) for row in history.joints(Filter())]
    assert {(row["refdes"], row["deviation"]) for row in shown if row["board"] == "run-000001"} == {
        ("J1", 0.5),
        ("J2", 0.75),
        ("J3", None),
    }


def test_novelty_and_deviation_are_in_every_kind_of_record(tmp_path):
    for name in ("jsonl", "csv"):
        with closing(SINKS.get(name)(tmp_path / f"run.{name}")) as sink:
            sink.write(record(joints=GUARDED))
    joints = lines(tmp_path / "run.jsonl")[:3]
    assert [(line["novelty"], line["novelty_limit"]) for line in joints] == [(0.25, 1), (1.5, 1), (None, 1)]
    assert [line["deviation"] for line in joints] == [0.5, 0.75, None]
    with (tmp_path / "run.csv").open(newline="", encoding="utf-8") as stream:
        names = ("novelty", "novelty_limit", "deviation", "cause")
        found = [tuple(row[name] for name in names) for row in csv.DictReader(stream)]
    assert found == [
        ("0.25", "1.0", "0.5", ""),
        ("1.5", "1.0", "0.75", "unlike-training"),
        ("", "1.0", "", "hidden"),
    ]


@pytest.mark.parametrize(
    "changes",
    [{"novelty": math.inf}, {"novelty": math.nan}, {"novelty_limit": math.nan}, {"deviation": math.inf}],
)
def test_a_figure_of_the_guard_that_is_not_finite_is_refused(tmp_path, changes):
    untrue = (replace(GUARDED[0], **changes),)
    with closing(SqliteSink(tmp_path / "i.db")) as sink, pytest.raises(OutputError, match="novelty"):
        sink.write(record(joints=untrue))


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path):
    path = tmp_path / "inspections.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_SCHEMA)
        connection.execute("CREATE TABLE boards_by_time (in_the_way)")
        connection.commit()
    with pytest.raises(OutputError, match="boards_by_time"):
        SqliteSink(path)
    assert rows(path, "PRAGMA user_version") == [(1,)]
    assert rows(path, "SELECT board FROM boards") == [("old-000000",)]


def test_a_locked_database_is_waited_for_and_then_an_error(tmp_path):
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path, busy_timeout_s=0.05)) as sink:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OutputError, match=r"kept the database locked for 0\.05 s") as caught:
                sink.write(record(0))
            assert f"fuser {path}" in caught.value.hint
            with pytest.raises(OutputError, match=r"locked for 0\.05 s"):
                sink.keep_packages("r" * 64, {"J1": "rect"})
            with pytest.raises(OutputError, match=r"locked for 0\.05 s"):
                SqliteSink(path, busy_timeout_s=0.05)
        sink.write(record(1))
    assert rows(path, "SELECT frame_index FROM boards") == [(1,)]


@pytest.mark.parametrize("kind", SINKS.names())
def test_every_sink_says_so_when_its_folder_is_not_there(kind, tmp_path):
    with pytest.raises(OutputError):
        SINKS.get(kind)(tmp_path / "none" / "file")


@pytest.mark.parametrize("kind", SINKS.names())
def test_every_sink_can_be_closed_again_and_keeps_its_records(kind, tmp_path):
    sink = SINKS.get(kind)(tmp_path / "file")
    sink.write(record())
    sink.close()
    sink.close()
    assert (tmp_path / "file").stat().st_size > 100


FULL_DISK = """
    import resource, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from support.board_records import record
    from sji_edge.core.errors import OutputError
    from sji_edge.records import SINKS
    sink = SINKS.get(sys.argv[1])(Path(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
    for index in range(1000):
        try:
            sink.write(record(index))
        except OutputError:
            print(index)
            sys.exit(7)
"""


@pytest.mark.parametrize("kind", SINKS.names())
def test_full_disk_keeps_every_board_given_before_and_none_by_half(kind, tmp_path):
    path = tmp_path / "file"
    script = textwrap.dedent(FULL_DISK.format(tests=str(Path(__file__).parents[2])))
    done = subprocess.run(
        [sys.executable, "-c", script, kind, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr
    given = int(done.stdout)
    assert 10 < given < 1000
    if kind == "csv":
        with path.open(newline="") as stream:
            found = list(csv.DictReader(stream))
        assert [row["board"] for row in found[::3]] == [f"run-{index:06d}" for index in range(given)]
        assert len(found) == 3 * given
    elif kind == "jsonl":
        found = lines(path)
        assert [line["frame_index"] for line in found if line["type"] == "board"] == list(range(given))
        assert found[-1]["type"] == "board"
    else:
        assert rows(path, "SELECT frame_index FROM boards ORDER BY id") == [
            (index,) for index in range(given)
        ]
        assert rows(path, "SELECT count(*) FROM joints") == [(3 * given,)]


KILLED = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from support.board_records import record
    from sji_edge.records.write.jsonl import JsonlSink
    from sji_edge.records.write.sqlite import SqliteSink
    database, lines = SqliteSink(Path(sys.argv[1])), JsonlSink(Path(sys.argv[2]))
    for index in range(1_000_000):
        database.write(record(index))
        lines.write(record(index))
        print(index, flush=True)
"""


@pytest.mark.parametrize("boards", [1, 17, 60])
def test_killed_at_any_moment_what_was_reported_is_in_the_database(tmp_path, boards):
    database, jsonl = tmp_path / "inspections.db", tmp_path / "run.jsonl"
    script = textwrap.dedent(KILLED.format(tests=str(Path(__file__).parents[2])))
    with subprocess.Popen(
        [sys.executable, "-c", script, str(database), str(jsonl)], stdout=subprocess.PIPE, text=True
    ) as child:
        reported = [int(child.stdout.readline()) for _ in range(boards)]
        os.kill(child.pid, signal.SIGKILL)
        reported += [int(line) for line in child.stdout]
    kept = [index for (index,) in rows(database, "SELECT frame_index FROM boards ORDER BY id")]
    shown = [json.loads(line) for line in jsonl.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert set(reported) <= set(kept)
    assert {line["frame_index"] for line in shown if line["type"] == "board"} <= set(kept)
    assert rows(database, "SELECT count(*) FROM joints") == [(3 * len(kept),)]
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_log_that_is_deleted_ends_the_run_because_what_is_written_into_it_would_be_lost(tmp_path, end):
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path)) as sink:
        sink.write(record(0))
        path.with_name(path.name + end).unlink()
        with pytest.raises(OutputError, match=f"inspections.db{end} was moved, deleted or replaced"):
            sink.write(record(1))


def test_a_database_that_another_program_compacts_stays_in_use(tmp_path):
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path)) as sink, closing(sqlite3.connect(path)) as other:
        for number in range(50):
            sink.write(record(number))
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert path.with_name("inspections.db-wal").stat().st_size == 0
        sink.write(record(50))
    assert rows(path, "SELECT count(*) FROM boards") == [(51,)]
