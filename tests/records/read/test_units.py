from contextlib import closing

import pytest
from support.board_records import record

from sji_edge.core.protocols import JointRecord, UnitRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records.read.history import Filter
from sji_edge.records.read.units import UnitHistory
from sji_edge.records.write.sqlite import SqliteSink

PASS, FAIL, ERROR, REVIEW = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.REVIEW
TESTS = (
    # serial, verdict, day
    ("SN1", FAIL, 1),
    ("SN2", ERROR, 1),
    ("SN2", PASS, 1),
    ("SN1", PASS, 2),
    ("SN3", REVIEW, 2),
    ("", PASS, 2),
    ("", FAIL, 2),
)


def board(number, serial, verdict, day, **changes):
    return record(
        number,
        serial=serial,
        verdict=verdict,
        cause="",
        utc=f"2025-01-0{day}T08:00:00+00:00",
        product="amplifier",
        **changes,
    )


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "inspections.db"
    with closing(SqliteSink(path)) as sink:
        for number, test in enumerate(TESTS):
            sink.write(board(number, *test))
    return path


def test_a_unit_counts_once_and_its_first_test_decides(database):
    with closing(UnitHistory(database)) as history:
        (found,) = history.yields(Filter())
    # SN1 failed first and passed last; SN2's ERROR is no test; SN3 is REVIEW; two boards are nobody's retest.
    assert (found.product, found.units, found.first_pass, found.passed) == ("amplifier", 5, 2, 3)
    assert (found.retested, found.errors, found.without_serial) == (1, 1, 2)
    assert found.first_pass_yield == 2 / 5


def test_a_retest_does_not_make_a_unit_of_another_day(database):
    with closing(UnitHistory(database)) as history:
        (first,) = history.yields(Filter(until="2025-01-02"))
        (second,) = history.yields(Filter(since="2025-01-02"))
    assert (first.units, first.first_pass) == (2, 1)
    assert (second.units, second.first_pass) == (3, 1)


def test_units_of_a_panel_count_and_skipped_ones_do_not(tmp_path):
    units = (UnitRecord("U1", PASS, "SN1"), UnitRecord("U2", FAIL, "SN2"), UnitRecord("U3", None))
    with closing(SqliteSink(tmp_path / "i.db")) as sink:
        sink.write(board(0, "P1", FAIL, 1, units=units))
    with closing(UnitHistory(tmp_path / "i.db")) as history:
        (found,) = history.yields(Filter())
    assert (found.units, found.first_pass, found.skipped, found.without_serial) == (2, 1, 1, 0)


def test_a_unit_of_a_panel_has_its_own_joints_and_the_panel_has_all(tmp_path):
    joints = tuple(JointRecord(name, PASS, 0.1, 0.4, 0.6) for name in ("U1/R5", "U2/R5", "U2/R6", "U20/R5"))
    units = tuple(UnitRecord(name, PASS, f"SN-{name}") for name in ("U1", "U2", "U20"))
    with closing(SqliteSink(tmp_path / "i.db")) as sink:
        sink.write(board(0, "P1", PASS, 1, joints=joints, units=units))
    with closing(UnitHistory(tmp_path / "i.db")) as history:
        (row,) = history.tests_of("SN-U2")
        assert [joint["refdes"] for joint in history.joints_of(row["id"], row["unit"])] == ["U2/R5", "U2/R6"]
        assert [row["unit"] for row in history.tests_of("P1")] == ["U1", "U2", "U20"]
        assert [row["board"] for row in history.boards(Filter(serial="SN-U20"), 9)] == ["run-000000"]
        assert history.boards(Filter(serial="SN-U3"), 9) == []
