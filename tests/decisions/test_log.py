"""Decisions are rows that are only added, on disk when they are answered, whoever else writes."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from support.board_records import record, rows

from sji_edge.core.decisions import Answer, Decision, Role
from sji_edge.core.errors import OutputError, UsageError
from sji_edge.core.read_only_database import open_read_only
from sji_edge.decisions.log import DecisionLog, Undo
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.testing import FakeClock


def confirmed(refdes="J2", who="ada", **changes) -> Decision:
    given = {"what": Answer.CONFIRMED, "category": "bridge", "role": Role.OPERATOR, "seconds": 1.5, **changes}
    return Decision(who=who, subject="run-000000", refdes=refdes, **given)


def test_a_decision_is_a_row_with_all_that_is_known_of_it(records):
    with DecisionLog(records, FakeClock()) as log:
        assert log.append([confirmed(token="t1")]) == [1]
        utc = FakeClock().utc()
    assert rows(records, "SELECT * FROM decisions") == [
        (1, utc, "ada", "operator", "run-000000", "J2", "DefectConfirmed", "bridge", 1.5, 1, 0, None, "t1")
    ]


def test_rows_can_neither_be_changed_nor_deleted(records):
    with DecisionLog(records) as log:
        log.append([confirmed()])
    with closing(sqlite3.connect(records)) as connection:
        for attempt in ("UPDATE decisions SET who = 'eve'", "DELETE FROM decisions"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(attempt)


def test_an_answer_that_is_sent_twice_is_written_once(records):
    with DecisionLog(records) as log:
        first = log.append([confirmed(token="same")])
        assert log.append([confirmed(token="same")]) == first
        undone = log.undo(Undo(first[0], "ada", Role.OPERATOR, "back"))
        assert log.undo(Undo(first[0], "ada", Role.OPERATOR, "back")) == undone
    assert rows(records, "SELECT what, undoes FROM decisions") == [("DefectConfirmed", None), ("Undone", 1)]


def test_one_of_several_that_cannot_be_written_keeps_all_out(records):
    with DecisionLog(records) as log, pytest.raises(OutputError, match="CHECK"):
        log.append([confirmed(), confirmed(seconds=-1.0)])
    assert rows(records, "SELECT count(*) FROM decisions") == [(0,)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"role": Role.VIEWER}, "may look"),
        ({"category": ""}, "needs a category"),
        ({"what": Answer.REJECTED}, "has no category"),
        ({"what": Answer.UNDONE}, "must name the decision"),
    ],
)
def test_an_answer_that_says_too_little_or_too_much_is_refused(records, changes, said):
    with DecisionLog(records) as log, pytest.raises(UsageError, match=said):
        log.append([confirmed(**changes)])


def test_an_operator_undoes_only_own_decisions_and_an_engineer_any_but_each_once(records):
    with DecisionLog(records) as log:
        first, second = log.append([confirmed(), confirmed("J3")])
        with pytest.raises(UsageError, match="ada's"):
            log.undo(Undo(first, "bob", Role.OPERATOR))
        with pytest.raises(UsageError, match="ada's"):
            log.undo(Undo(first, "ada", Role.VIEWER))
        log.undo(Undo(first, "ada", Role.OPERATOR))
        undone = log.undo(Undo(second, "eve", Role.ENGINEER))
        for row, said in ((first, "undone already"), (undone, "no decision"), (999, "no decision")):
            with pytest.raises(UsageError, match=said):
                log.undo(Undo(row, "eve", Role.ENGINEER))


def test_a_run_goes_on_writing_boards_while_decisions_are_written(records):
    with SqliteSink(records) as sink, DecisionLog(records) as log:
        for index in range(1, 20):
            sink.write(record(index))
            log.append([confirmed(f"J{index}")])
    assert rows(records, "SELECT (SELECT count(*) FROM boards), (SELECT count(*) FROM decisions)") == [
        (20, 19)
    ]


def test_a_locked_database_is_waited_for_and_then_an_error_that_says_so(records):
    with DecisionLog(records, busy_timeout_s=0.05) as log, closing(sqlite3.connect(records)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match="locked"):
            log.append([confirmed()])
        other.rollback()
        assert log.append([confirmed()]) == [1]


@pytest.mark.parametrize("ending", ["", "-wal"])
def test_a_database_that_was_moved_away_is_an_error_and_not_an_answer(records, ending):
    with DecisionLog(records) as log:
        log.append([confirmed()])
        records.with_name(records.name + ending).rename(records.with_name("archived"))
        with pytest.raises(OutputError, match="moved, deleted or replaced"):
            log.append([confirmed("J3")])


def test_a_name_that_is_no_database_makes_none(tmp_path):
    with pytest.raises(UsageError, match="no database"):
        DecisionLog(tmp_path / "absent.db")
    assert list(tmp_path.iterdir()) == []


PEEK = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM boards').fetchall(); c.close()"


def test_who_reads_in_the_same_process_does_not_let_others_delete_the_log(records):
    SqliteSink(records).close()
    with DecisionLog(records) as log:
        # The log is empty at first.
        for _ in range(2):
            open_read_only(records).close()
        log.append([confirmed()])
        open_read_only(records).close()
        # Whoever closes a database as the last one deletes its log.
        subprocess.run([sys.executable, "-c", PEEK, str(records)], check=True)
        assert log.append([confirmed("J3")]) == [2]
    assert rows(records, "SELECT count(*) FROM decisions") == [(2,)]


STATION = """
import sys
from sji_edge.core.decisions import Answer, Decision, Role
from sji_edge.decisions.log import DecisionLog

with DecisionLog(sys.argv[1]) as log:
    for number in range(int(sys.argv[3])):
        answer = Decision(sys.argv[2], Role.OPERATOR, "run-000000", f"J{number}", Answer.REJECTED)
        print(log.append([answer])[0], flush=True)
"""


def station(records, who, count):
    command = [sys.executable, "-c", STATION, str(records), who, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_stations_at_once_lose_nothing(records):
    both = [station(records, who, 60) for who in ("ada", "bob")]
    answered = [one.communicate(timeout=60)[0].split() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert len(set(answered[0]) | set(answered[1])) == 120
    assert rows(records, "SELECT who, count(*) FROM decisions GROUP BY who") == [("ada", 60), ("bob", 60)]


def test_a_station_killed_after_an_answer_has_lost_none(records):
    with station(records, "ada", 100_000) as one:
        answered = [one.stdout.readline().strip() for _ in range(30)]
        os.kill(one.pid, signal.SIGKILL)
        answered += [line.strip() for line in one.stdout if line.endswith("\n")]
    kept = {str(number) for (number,) in rows(records, "SELECT id FROM decisions")}
    assert set(answered) <= kept
    assert rows(records, "PRAGMA integrity_check") == [("ok",)]
