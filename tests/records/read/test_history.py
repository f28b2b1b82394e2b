import csv
import errno
import json
import math
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sji_edge.cli.main import run
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records.cells import plain_cells
from sji_edge.records.read.history import JOINT_COLUMNS, Filter, History
from sji_edge.records.read.ranking import pareto
from sji_edge.records.read.table_export import export_joints, publish
from sji_edge.records.write.sqlite import SqliteSink

FIRST_DAY = datetime(2025, 1, 30, 8, tzinfo=UTC)
SCORES = {
    # board: score of J1, J2, J3; the limits are 0.3 and 0.6
    "a-000000": (0.1, 0.95, 0.2),
    "a-000001": (0.1, 0.65, 0.4),
    "b-000000": (None, 0.99, 0.1),
    "b-000001": (0.61, 0.1, 0.1),
}


def joint(name: str, score: float | None) -> JointRecord:
    if score is None:
        return JointRecord(name, Verdict.ERROR, None, 0.3, 0.6, cause="outside-frame")
    verdict = Verdict.PASS if score < 0.3 else Verdict.REVIEW if score < 0.6 else Verdict.FAIL
    return JointRecord(name, verdict, score, 0.3, 0.6, "defective")


def board(number: int, name: str) -> BoardRecord:
    joints = tuple(joint(f"J{place}", score) for place, score in enumerate(SCORES[name], start=1))
    order = (Verdict.PASS, Verdict.REVIEW, Verdict.FAIL, Verdict.ERROR)
    worst = max((one.verdict for one in joints), key=order.index)
    return BoardRecord(
        name,
        number,
        f"frame{number}.png",
        (FIRST_DAY + timedelta(days=number)).isoformat(),
        worst,
        joints,
        "e" * 64,
        "r" * 64,
        latency_ns={"wait": 250_000, "infer": 1_500_000 * number, "since_capture": 9_876_543},
    )


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "records" / "inspections.db"
    path.parent.mkdir()
    with closing(SqliteSink(path)) as sink:
        for number, name in enumerate(SCORES):
            sink.write(board(number, name))
    return path


@pytest.fixture
def history(database):
    with closing(History(database)) as opened:
        yield opened


def test_runs_count_their_boards_newest_first(history):
    found = history.runs(Filter())
    assert [(row["run"], row["boards"], row["FAIL"], row["ERROR"]) for row in found] == [
        ("b", 2, 1, 1),
        ("a", 2, 2, 0),
    ]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(), ["b-000001", "b-000000", "a-000001", "a-000000"]),
        (Filter(run="a"), ["a-000001", "a-000000"]),
        (Filter(verdict="ERROR"), ["b-000000"]),
        (Filter(since="2025-02"), ["b-000001", "b-000000"]),
        (Filter(until="2025-01-31"), ["a-000000"]),
        (Filter(refdes="J9"), []),
    ],
)
def test_boards_are_filtered(history, wanted, names):
    assert [row["board"] for row in history.boards(wanted, 50)] == names


def test_most_bounds_the_rows(history):
    assert len(history.boards(Filter(), 3)) == 3
    assert len(list(history.joints(Filter(), 5))) == 5


def test_joints_come_with_their_board(history):
    found = [dict(zip(JOINT_COLUMNS, row, strict=True)) for row in history.joints(Filter(refdes="J1"))]
    assert [row["score"] for row in found] == [0.61, None, 0.1, 0.1]
    assert found[1]["cause"] == "outside-frame"
    assert found[0]["engine_sha256"] == "e" * 64


def test_a_value_is_never_part_of_the_query(history):
    assert history.boards(Filter(run="' OR 1=1 --"), 5) == []


def test_pareto_ranks_by_fails_and_adds_them_up(history):
    causes = pareto(history.counts(Filter()))
    assert [(one.name, one.fails, one.reviews, one.errors) for one in causes] == [
        ("J2", 3, 0, 0),
        ("J1", 1, 0, 1),
        ("J3", 0, 1, 0),
    ]
    assert [one.share for one in causes] == [0.75, 0.25, 0.0]
    assert causes[-1].cumulative == 1.0
    assert [one.judged for one in causes] == [4, 3, 4]
    assert [one.fail_rate for one in causes] == [3 / 4, 1 / 3, 0.0]


def test_candidates_are_reviews_and_bare_fails_nearest_to_pass_first(history):
    def logit(p):
        return math.log(p / (1 - p))

    found = history.candidates(Filter(), 10)
    assert [(one.board, one.refdes) for one in found] == [
        ("a-000001", "J3"),
        ("b-000001", "J1"),
        ("a-000001", "J2"),
    ]
    assert found[1].margin == pytest.approx(logit(0.61) - logit(0.6))


def test_reading_goes_on_while_a_run_writes(database):
    with closing(SqliteSink(database)) as sink, closing(History(database)) as history:
        before = len(history.boards(Filter(), 50))
        SCORES_C = SCORES["a-000000"]
        SCORES["c-000000"] = SCORES_C
        try:
            sink.write(board(4, "c-000000"))
        finally:
            del SCORES["c-000000"]
        assert len(history.boards(Filter(), 50)) == before + 1


def test_what_is_no_database_of_ours_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no records in"):
        History(tmp_path / "gone.db")
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
        connection.commit()
    with pytest.raises(UsageError, match="another program's tables"):
        History(other)
    (tmp_path / "zero.db").touch()
    with pytest.raises(UsageError, match=r"zero\.db is empty: no run has recorded into it"):
        History(tmp_path / "zero.db")
    (tmp_path / "text.db").write_text("no database, but long enough to look at " * 40)
    with pytest.raises(UsageError, match="cannot read"):
        History(tmp_path / "text.db")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", '{"infer": "x"}'])
def test_damaged_latencies_are_an_output_error(database, text):
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE boards SET latency_ns = ?", [text])
        connection.commit()
    with (
        closing(History(database)) as history,
        pytest.raises(OutputError, match=r"latencies in .*inspections"),
    ):
        list(history.joints(Filter()))


def test_a_name_that_no_file_can_have_is_a_usage_error():
    with pytest.raises(UsageError, match="no records in"):
        History(Path("x" * 5000))


def test_a_locked_database_is_an_output_error_and_not_a_usage_error(database):
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        with closing(History(database)) as history:
            history._records.quiet_since = None
            history._records.connection.close()
            history._records.connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.05)
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(OutputError, match="another process has locked it"):
                history.runs(Filter())


def test_a_damaged_database_is_an_output_error(database):
    data = bytearray(database.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    database.write_bytes(data)
    with closing(History(database)) as history, pytest.raises(OutputError, match="malformed"):
        history.runs(Filter())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_both_tables_hold_every_joint(history, tmp_path, suffix):
    path = tmp_path / f"joints{suffix}"
    assert export_joints(history.joints(Filter()), path) == 12
    if suffix == ".csv":
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        scores = [float(row["score"]) if row["score"] else None for row in rows]
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table(path).to_pylist()
        scores = [row["score"] for row in rows]
    assert tuple(rows[0]) == JOINT_COLUMNS
    assert [float(row["infer_ms"]) for row in rows] == [
        1.5 * number for number in (3, 2, 1, 0) for _ in range(3)
    ]
    assert {(float(row["wait_ms"]), float(row["since_capture_ms"])) for row in rows} == {(0.25, 9.877)}
    assert {row["crop_ms"] or None for row in rows} == {None}
    assert scores == [score for name in reversed(SCORES) for score in SCORES[name]]


def test_a_table_is_never_overwritten_and_a_failure_leaves_nothing(history, tmp_path):
    path = tmp_path / "joints.csv"
    path.write_text("mine")
    with pytest.raises(OutputError, match="already exists"):
        export_joints(history.joints(Filter()), path)
    with pytest.raises(UsageError, match="neither"):
        export_joints(history.joints(Filter()), tmp_path / "joints.xlsx")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["joints.csv", "records"]


def test_a_table_that_appears_while_another_is_written_is_kept(history, tmp_path):
    path = tmp_path / "joints.csv"

    def rows():
        for row in history.joints(Filter()):
            path.write_text("somebody else's")
            yield row

    with pytest.raises(OutputError, match="already exists"):
        export_joints(rows(), path)
    assert path.read_text() == "somebody else's"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["joints.csv", "records"]


def test_a_table_is_published_without_hard_links_too(tmp_path, monkeypatch):
    (tmp_path / "new").write_text("new")

    def refuse(source, target):
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    publish(tmp_path / "new", tmp_path / "joints.csv")
    assert (tmp_path / "joints.csv").read_text() == "new"
    (tmp_path / "new").write_text("newer")
    with pytest.raises(FileExistsError):
        publish(tmp_path / "new", tmp_path / "joints.csv")
    assert (tmp_path / "joints.csv").read_text() == "new"


def test_a_cell_that_a_spreadsheet_would_run_is_text(tmp_path):
    row = ["=1+1", "+R1", "-R1", "@x", "R1=2", -0.5, None]
    assert plain_cells(row) == ["'=1+1", "'+R1", "'-R1", "'@x", "R1=2", -0.5, None]
    path = tmp_path / "joints.csv"
    export_joints(iter([tuple(["=cmd()"] * len(JOINT_COLUMNS))]), path)
    assert path.read_text().splitlines()[1].startswith("'=cmd(),")


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run(["inspections", *map(str, words)])
    return int(stop.value.code or 0)


@pytest.mark.parametrize(
    ("name", "key", "shown"),
    [
        ("runs", "run", ["b", "a"]),
        ("boards", "board", ["b-000001", "b-000000", "a-000001", "a-000000"]),
        ("joints", "refdes", ["J1", "J2", "J3"] * 4),
        ("pareto", "refdes", ["J2", "J1", "J3"]),
    ],
)
def test_every_list_is_a_table_or_json_with_the_same_rows(database, capsys, name, key, shown):
    assert command(name, "--database", database) == 0
    table = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert command(name, "--database", database, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row[key] for row in rows] == shown
    column = [label.replace(" ", "_") for label in rows[0] if "_ms" not in label and "sha256" not in label]
    assert [cells[column.index(key)].strip() for cells in table] == shown


def test_candidates_are_two_tables_or_one_json_object(database, capsys):
    assert command("candidates", "--database", database) == 0
    printed = capsys.readouterr().out
    assert "no joint stands out" in printed
    assert command("candidates", "--database", database, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["standing_out"] == []
    # By their distance to the FAIL limit of 0.6, in logits; 0.95 and 0.99 are too far above it.
    assert [(row["board"], row["score"]) for row in found["close_calls"]] == [
        ("a-000001", 0.4),
        ("b-000001", 0.61),
        ("a-000001", 0.65),
    ]
    places = [printed.index(f"{row['score']:.4f}") for row in found["close_calls"]]
    assert places == sorted(places)


def test_wrong_words_are_usage_errors(database, tmp_path, capsys):
    assert command("boards", "--database", database, "--verdict", "WRONG") == 2
    assert command("boards", "--database", tmp_path / "gone.db") == 2
    assert "record some with sji-edge infer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "time",
    [
        "yesterday",
        "2025-01-31 08:00",
        "31.01.2025",
        "2025-1-31",
        "2025-01-31Z",
        "2025-01-31T08:00+01:00",
        "2025-13-01",
        "2026-02-30",
        "2025-02-29T08",
        "2025-01-31T24:00",
        "0000",
    ],
)
def test_a_time_that_the_records_do_not_compare_with_is_refused(database, capsys, time):
    assert command("boards", "--database", database, "--since", time) == 2
    assert "write it as 2025-01-31, 2025-01-31T08:00" in capsys.readouterr().err


@pytest.mark.parametrize("mark", ["", "Z", "+00:00"])
def test_a_time_that_the_tables_print_is_taken_back(history, mark):
    everything = history.boards(Filter(), 50)
    for row in everything:
        printed = row["utc"].removesuffix("+00:00") + mark
        later = [other for other in everything if other["utc"] >= row["utc"]]
        assert history.boards(Filter(since=printed), 50) == later
        assert history.boards(Filter(until=printed), 50) == [one for one in everything if one not in later]


def test_the_leap_day_is_a_day():
    assert Filter(since="2024-02-29").since == "2024-02-29"


def test_joints_are_selected_by_cause(database, tmp_path):
    with closing(History(database)) as history:
        found = [
            dict(zip(JOINT_COLUMNS, row, strict=True))
            for row in history.joints(Filter(cause="outside-frame"))
        ]
        boards = history.boards(Filter(cause="outside-frame"), 10)
        none = list(history.joints(Filter(cause="unlike-training")))
    assert [(row["board"], row["refdes"]) for row in found] == [("b-000000", "J1")]
    assert [row["board"] for row in boards] == ["b-000000"]
    assert none == []


def test_the_command_lists_joints_unlike_training_with_their_novelty(tmp_path, capsys):
    strange = JointRecord("J7", Verdict.REVIEW, 0.02, 0.3, 0.6, "normal", "unlike-training", 1.5, 1.0)
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path)) as sink:
        sink.write(replace(board(1, "a-000000"), joints=(joint("J1", 0.1), strange)))
    assert command("joints", "--cause", "unlike-training", "--database", path, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["refdes"], row["novelty"], row["novelty_limit"]) == ("J7", 1.5, 1.0)
