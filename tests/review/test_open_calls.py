"""What is open follows from what was judged and what was answered, by whomever."""

import pytest
from support.station_material import RUN, write_material

from sji_edge.core.decisions import Answer, Decision, Role
from sji_edge.decisions.log import DecisionLog, Undo
from sji_edge.review.open_calls import WHOLE_BOARD, OpenCalls
from sji_edge.review.records import Records


@pytest.fixture
def material(tmp_path):
    return write_material(tmp_path / "line", boards=5, joints=8, pictures=False, blank=[2])


@pytest.fixture
def records(material):
    opened = Records(material.database)
    yield opened
    opened.close()


def called(records):
    """The calls by a naive look at the tables: name of the board and refdes."""
    with records.reading() as connection:
        rows = connection.execute(
            "SELECT b.board, j.refdes FROM joints j JOIN boards b ON b.id = j.board_id "
            "WHERE j.verdict IN ('REVIEW', 'FAIL') ORDER BY 1, 2"
        ).fetchall()
    return [*rows, (f"{RUN}-000002", "")]


def still_open(calls, records):
    calls.refresh()
    with records.reading() as connection:
        names = dict(connection.execute("SELECT id, board FROM boards"))
    found = [(names[board], refdes) for board, _ in calls.newest(99) for refdes in calls.open_on(board)]
    assert calls.count == len(found)
    return sorted(found)


def answer(subject, refdes, **changes):
    given = {"who": "ada", "role": Role.OPERATOR, "what": Answer.REJECTED, **changes}
    return Decision(subject=subject, refdes=refdes, **given)


def test_every_call_is_open_and_a_frame_without_a_score_is_one_call(records):
    calls = OpenCalls(records)
    assert still_open(calls, records) == sorted(called(records))
    (lost,) = [board for board, _ in calls.newest(99) if "" in calls.open_on(board)]
    assert calls.open_on(lost) == {"": WHOLE_BOARD}


def test_boards_come_newest_first_and_page_by_page(records):
    calls = OpenCalls(records)
    calls.refresh()
    every = [board for board, _ in calls.newest(99)]
    assert every == sorted(every, reverse=True)
    assert [board for board, _ in calls.newest(1, before=every[0])] == every[1:2]


def test_another_stations_answers_and_undos_are_seen(records, material):
    calls = OpenCalls(records)
    wanted = still_open(calls, records)
    with DecisionLog(material.database) as other:
        (row,) = other.append([answer(*wanted[0])])
        assert still_open(calls, records) == wanted[1:]
        other.undo(Undo(row, "ada", Role.OPERATOR))
        assert still_open(calls, records) == wanted


def test_a_blind_repeat_answers_no_call(records, material):
    calls = OpenCalls(records)
    wanted = still_open(calls, records)
    with DecisionLog(material.database) as other:
        other.append([answer(*wanted[0], blind=True)])
    assert still_open(calls, records) == wanted


def test_a_new_index_knows_what_was_answered_before(records, material):
    wanted = called(records)
    with DecisionLog(material.database) as log:
        first, second = log.append([answer(*wanted[0]), answer(*wanted[-1])])
        log.undo(Undo(first, "ada", Role.OPERATOR))
    assert second
    assert still_open(OpenCalls(records), records) == sorted(wanted[:-1])


def test_an_undo_of_an_answer_from_before_the_index_brings_the_call_back(records, material):
    wanted = called(records)
    with DecisionLog(material.database) as log:
        first, whole = log.append([answer(*wanted[0]), answer(*wanted[-1])])
        calls = OpenCalls(records)
        assert len(still_open(calls, records)) == len(wanted) - 2
        for row in (first, whole):
            log.undo(Undo(row, "eve", Role.ENGINEER))
    assert still_open(calls, records) == sorted(wanted)


def test_boards_from_before_a_time_are_left_out(records):
    calls = OpenCalls(records, since="2026-01-31T08:01:30")
    names = {board for board, _ in still_open(calls, records)}
    assert names == {name for name, _ in called(records) if name >= f"{RUN}-000003"}
