"""The view Look behind its pages, against naive counts."""

from collections import Counter

import pytest
from support.board_records import record, rows
from support.station_material import RUN, small_material

from sji_edge.core.clock import SystemClock
from sji_edge.core.decisions import Answer, Role
from sji_edge.core.errors import UsageError
from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.review.shown import Given, Person
from sji_edge.review.station import Station, StationRequest


@pytest.fixture
def material(tmp_path):
    return small_material(tmp_path / "line")


@pytest.fixture
def station(material):
    with Station(
        StationRequest(records=[material.database], recipes=[material.recipe]), SystemClock()
    ) as opened:
        yield opened


CALLED = (
    "SELECT j.refdes, j.verdict FROM joints j JOIN boards b ON b.id = j.board_id "
    "WHERE j.verdict IN ('REVIEW', 'FAIL')"
)


def test_what_was_called_most_comes_first_with_how_people_answered(station, material):
    wanted = Counter(refdes for refdes, _ in rows(material.database, CALLED))
    bars = station.look.pareto(0)
    assert {bar.name: bar.reviews + bar.fails for bar in bars} == dict(wanted)
    assert [bar.reviews + bar.fails for bar in bars] == sorted(wanted.values(), reverse=True)
    top = bars[0].name
    query = f"SELECT board_id, position FROM joints WHERE refdes = '{top}' AND verdict IN ('REVIEW', 'FAIL')"
    (board, position), *_ = rows(material.database, query)
    given = Given(0, board, position, Answer.REJECTED, "", None, False, False, "12345678")
    row = station.verification.decide(Person("ada", Role.OPERATOR), given).row
    assert station.look.pareto(0)[0].rejected == 1
    station.verification.undo(Person("ada", Role.OPERATOR), 0, row, "12345678")
    assert station.look.pareto(0)[0].rejected == 0


def test_packages_are_counted_too_and_nothing_else(station):
    assert sum(bar.fails for bar in station.look.pareto(0, "package")) == sum(
        bar.fails for bar in station.look.pareto(0)
    )
    with pytest.raises(UsageError, match="refdes or package"):
        station.look.pareto(0, "verdict; DROP TABLE boards")


def test_boards_are_found_by_verdict_time_and_name_as_text(station):
    look = station.look
    assert [one.frame_name for one in look.boards(0)] == [f"board0{number}.png" for number in (3, 2, 1, 0)]
    assert {one.verdict for one in look.boards(0, verdict="ERROR")} == {"ERROR"}
    assert [one.frame_name for one in look.boards(0, text="board01")] == ["board01.png"]
    assert (
        look.boards(0, text="board%")
        == look.boards(0, text="board_1")
        == look.boards(0, text="' OR 1=1 --")
        == []
    )
    assert len(look.boards(0, since="2026-01-31T08:01", until="2026-01-31T08:02")) == 1
    assert [one.id for one in look.boards(0, before=3)] == [2, 1]


def test_the_last_day_stands_beside_the_day_before(station, material):
    joints = (JointRecord("J001", Verdict.FAIL, 0.9, 0.4, 0.6, "x"),)
    with SqliteSink(material.database) as line:
        for number in range(3):
            line.write(
                record(
                    number,
                    joints,
                    utc=f"2026-02-01T09:0{number}:00.000000+00:00",
                    verdict=Verdict.FAIL,
                    cause="",
                )
            )
            line.write(
                record(
                    9 + number,
                    joints,
                    utc=f"2026-02-02T08:0{number}:00.000000+00:00",
                    verdict=Verdict.FAIL,
                    cause="",
                )
            )
        line.write(record(20, joints, utc="2026-02-02T09:30:00.000000+00:00", verdict=Verdict.FAIL, cause=""))
    found = station.look.summary(0)
    assert (found.now.boards, found.before.boards) == ({"FAIL": 4}, {"FAIL": 3})
    assert (found.now.calls, found.before.calls) == (4, 3)
    assert [(one.refdes, one.before, one.now) for one in found.changes] == [("J001", 3, 4)]


def test_a_board_is_found_and_shown_by_its_serial_number(station, material):
    with SqliteSink(material.database) as line:
        line.write(record(30, utc="2026-02-03T00:00:00+00:00", serial="SN-4711"))
    (found,) = station.look.boards(0, text="4711")
    assert found.serial == "SN-4711"
    assert station.verification.board(0, found.id).serial == "SN-4711"
    assert station.verification.queue()[0].serial == "SN-4711"


def test_a_joints_history_is_that_joint_on_every_board(station, material):
    query = "SELECT board_id, score FROM joints WHERE refdes = 'J002' ORDER BY board_id DESC"
    assert [(one.board_id, one.score) for one in station.look.history(0, "J002")] == rows(
        material.database, query
    )
    assert station.look.history(0, "' OR 1=1") == []


def test_the_live_state_is_that_of_the_newest_run(station, material):
    state = station.look.live()
    assert (state.run, state.board) == (RUN, f"{RUN}-000003")
    assert sum(state.boards.values()) == 4
    assert state.latency_ms == 12.0
    assert state.faults == (("2026-01-31T08:01:20.000000+00:00", "alignment: fiducial 0 not found"),)
    with SqliteSink(material.database) as line:
        line.write(record(0, utc="2026-03-01T00:00:00+00:00", cause=""))
    assert (station.look.live().run, station.look.live().boards) == ("run", {"ERROR": 1})
