"""What counts, where people disagree, and which answers were given twice."""

import sqlite3
from contextlib import closing

from sji_edge.core.decisions import Answer, Decision, Role
from sji_edge.decisions.log import DecisionLog, Undo
from sji_edge.decisions.read import blind_pairs, by_answer, conflicts, current, read_decisions, standing

BOARD = "run-000000"


def answer(who, refdes="J2", category="bridge", role=Role.OPERATOR, blind=False, what=None):
    what = what or (Answer.CONFIRMED if category else Answer.REJECTED)
    return Decision(who, role, BOARD, refdes, what, category, blind=blind)


def read(records, *steps, **wanted):
    """Write answers, or undo those whose number is given, and read everything back."""
    with DecisionLog(records) as log:
        for step in steps:
            if isinstance(step, int):
                log.undo(Undo(step, "eve", Role.ENGINEER))
            else:
                log.append([step])
    with closing(sqlite3.connect(records)) as connection:
        return list(read_decisions(connection, **wanted))


def test_the_last_decision_that_stands_counts(records):
    found = read(records, answer("ada"), answer("ada", category=""), answer("ada", "J3"), 3)
    assert {subject: row.id for subject, row in current(found).items()} == {(BOARD, "J2"): 2}
    assert [row.id for row in standing(found)] == [1, 2]
    assert by_answer(current(found))[Answer.REJECTED] == 1


def test_undoing_the_last_brings_back_the_one_before(records):
    found = read(records, answer("ada"), answer("ada", category=""), 2)
    assert current(found)[BOARD, "J2"].what is Answer.CONFIRMED


def test_an_operator_does_not_replace_an_engineers_decision(records):
    found = read(records, answer("eve", role=Role.ENGINEER), answer("ada", category=""))
    assert current(found)[BOARD, "J2"].who == "eve"


def test_people_who_say_different_things_are_a_conflict_until_an_engineer_settles_it(records):
    found = read(records, answer("ada"), answer("bob", category=""))
    assert [(one.subject, [row.who for row in one.rows]) for one in conflicts(found)] == [
        ((BOARD, "J2"), ["ada", "bob"])
    ]
    settled = read(records, answer("eve", category="", role=Role.ENGINEER))
    assert conflicts(settled) == []


def test_a_change_of_mind_and_an_escalation_are_no_conflict_but_a_blind_repeat_is(records):
    found = read(
        records, answer("ada", what=Answer.ESCALATED, category=""), answer("ada"), answer("ada", category="")
    )
    assert conflicts(found) == []
    found = read(records, answer("ada", blind=True))
    assert len(conflicts(found)) == 1
    assert current(found)[BOARD, "J2"].what is Answer.REJECTED


def test_confirmed_and_accepted_say_the_same_of_the_joint(records):
    found = read(records, answer("ada"), answer("bob", what=Answer.ACCEPTED))
    assert conflicts(found) == []


def test_a_blind_answer_is_paired_with_the_one_that_stood_before_it(records):
    found = read(
        records,
        answer("bob", "J9", blind=True),
        answer("ada"),
        answer("bob", category="", blind=True),
        answer("ada", category=""),
    )
    assert [(first.id, second.id) for first, second in blind_pairs(found)] == [(2, 3)]


def test_rows_are_read_from_an_id_on_and_by_subject(records):
    found = read(records, answer("ada"), answer("ada", "J3"), answer("ada", "J4"), after=1)
    assert [row.refdes for row in found] == ["J3", "J4"]
    assert [row.refdes for row in read(records, subject=(BOARD, "J3"))] == ["J3"]


def test_a_database_without_the_table_has_no_decisions():
    with closing(sqlite3.connect(":memory:")) as connection:
        assert list(read_decisions(connection)) == []
