"""The view Verify behind its pages: what is shown, and what an answer does."""

import shutil

import cv2
import numpy as np
import pytest
from support.board_records import rows
from support.station_material import RUN, small_material

from sji_edge.core.clock import SystemClock
from sji_edge.core.decisions import Answer, Role
from sji_edge.core.errors import UsageError
from sji_edge.decisions.read import read_decisions
from sji_edge.review.blind import agreement
from sji_edge.review.boards import read_board, read_joints
from sji_edge.review.pictures import NoPictureError
from sji_edge.review.shown import Given, Person
from sji_edge.review.station import Station, StationRequest
from sji_edge.review.verification import Verification

ADA, BOB, EVE = Person("ada", Role.OPERATOR), Person("bob", Role.OPERATOR), Person("eve", Role.ENGINEER)


@pytest.fixture
def material(tmp_path):
    return small_material(tmp_path / "line")


@pytest.fixture
def station(material):
    request = StationRequest(records=[material.database], recipes=[material.recipe], blind_share=0.0)
    with Station(request, SystemClock()) as opened:
        yield opened


def given(board, joint, what=Answer.REJECTED, category="", token="12345678", **changes):
    values = {"seconds": 2.0, "score_shown": False, "blind": False, **changes}
    return Given(board.source, board.id, joint, what, category, token=token, **values)


def next_call(work, person=ADA, after=None):
    board = work.next(person, after)
    joint = next(joint for joint in board.joints if joint.called and joint.said is None)
    return board, joint


def test_the_newest_board_comes_first_with_all_its_joints(station):
    board, joint = next_call(station.verification)
    assert board.board == f"{RUN}-000003"
    assert len(board.joints) == 6
    assert joint.verdict in ("REVIEW", "FAIL")
    recipe = station.recipes.of(station_board(station, board.id))
    assert joint.box == tuple(recipe.rois[joint.position])
    assert board.frame == recipe.board.frame


def station_board(station, board_id):
    with station.sources[0].records.reading() as connection:
        return read_board(connection, board_id)


def test_an_answered_call_is_closed_and_says_who_answered(station, material):
    work = station.verification
    before = work.open()
    board, joint = next_call(work)
    done = work.decide(ADA, given(board, joint.position, Answer.CONFIRMED, "bridge"))
    assert (done.open, done.others) == (before - 1, ())
    said = next(one for one in work.board(0, board.id).joints if one.position == joint.position).said
    assert (said.who, said.what, said.category) == ("ada", "DefectConfirmed", "bridge")
    wanted = [(f"{RUN}-000003", joint.refdes, 2.0, 0, 0)]
    assert (
        rows(material.database, "SELECT subject, refdes, seconds, score_shown, blind FROM decisions")
        == wanted
    )


def test_an_escalated_call_waits_in_a_list_of_its_own_until_somebody_decides_it(station):
    work = station.verification
    board, joint = next_call(work)
    assert work.escalated() == []
    handed_on = work.decide(ADA, given(board, joint.position, Answer.ESCALATED))
    (waiting,) = work.escalated()
    assert (waiting.id, waiting.open) == (board.id, 1)
    work.undo(ADA, 0, handed_on.row, "undo-1234")
    assert work.escalated() == []
    work.decide(ADA, given(board, joint.position, Answer.ESCALATED, token="87654321"))
    settled = work.decide(EVE, given(board, joint.position, token="eve-12345"))
    assert work.escalated() == []
    work.undo(EVE, 0, settled.row, "undo-5678")
    assert [(one.id, one.open) for one in work.escalated()] == [(board.id, 1)]


def test_when_all_is_answered_there_is_no_next_board(station):
    work, count = station.verification, 0
    while (board := work.next(ADA)) is not None:
        if board.whole_called:
            work.decide(ADA, given(board, -1, token=f"{count:08d}"))
        for joint in board.joints:
            if joint.called:
                count += 1
                work.decide(ADA, given(board, joint.position, token=f"j{count:08d}"))
    assert work.open() == 0
    assert work.queue() == []


def test_boards_follow_each_other_from_new_to_old_and_then_from_the_start(station):
    work = station.verification
    waiting = [board.id for board in work.queue()]
    seen, after = [], None
    for _ in range(len(waiting) + 1):
        board = work.next(ADA, after)
        seen.append(board.id)
        after = (0, board.id)
    assert seen == [*waiting, waiting[0]]


def test_a_second_person_hears_what_the_first_said_and_nothing_is_lost(station, material):
    work = station.verification
    board, joint = next_call(work)
    work.decide(ADA, given(board, joint.position))
    done = work.decide(BOB, given(board, joint.position, Answer.CONFIRMED, "bridge"))
    assert [(one.who, one.what) for one in done.others] == [("ada", "DefectRejected")]
    assert rows(material.database, "SELECT who FROM decisions") == [("ada",), ("bob",)]


def test_the_same_token_of_two_people_is_two_answers(station, material):
    work = station.verification
    board, joint = next_call(work)
    for person in (ADA, ADA, BOB):
        work.decide(person, given(board, joint.position))
    assert rows(material.database, "SELECT who FROM decisions") == [("ada",), ("bob",)]


def test_undo_opens_the_call_again(station):
    work = station.verification
    before = work.open()
    board, joint = next_call(work)
    done = work.decide(ADA, given(board, joint.position))
    with pytest.raises(UsageError, match="ada's"):
        work.undo(BOB, 0, done.row, "87654321")
    assert work.undo(ADA, 0, done.row, "87654321").open == before


def test_a_missed_defect_of_a_passed_joint_can_be_told(station):
    work = station.verification
    board = work.next(ADA)
    passed = next(joint for joint in board.joints if not joint.called)
    work.decide(ADA, given(board, passed.position, Answer.CONFIRMED, "insufficient"))
    assert next(one for one in work.board(0, board.id).joints if one.position == passed.position).said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"what": Answer.CONFIRMED, "category": "no-such"}, "no category"),
        ({"what": Answer.CONFIRMED, "category": "normal"}, "no category"),
        ({"what": Answer.LABELLED, "category": "bridge"}, "is not an answer to a call"),
        ({"what": Answer.UNDONE}, "is not an answer to a call"),
    ],
)
def test_an_answer_that_is_none_is_refused(station, changes, said):
    board, joint = next_call(station.verification)
    with pytest.raises(UsageError, match=said):
        station.verification.decide(ADA, given(board, joint.position, **changes))


@pytest.mark.parametrize(
    ("source", "board", "joint"), [(1, 1, 0), (-1, 1, 0), (0, 99, 0), (0, 1, 99), (0, 1, -2)]
)
def test_what_does_not_exist_cannot_be_answered(station, source, board, joint):
    answer = Given(source, board, joint, Answer.REJECTED, "", None, False, False, "12345678")
    with pytest.raises(UsageError, match=r"there is no|has no joint"):
        station.verification.decide(ADA, answer)


def test_a_blind_repeat_hides_what_was_decided_and_measures_agreement(material):
    request = StationRequest(records=[material.database], recipes=[material.recipe])
    with Station(request, SystemClock()) as station:
        work = Verification(station.sources, station.recipes, station.categories, blind_share=1.0, seed=1)
        shown, count = None, 0
        while shown is None or not shown.blind:
            shown = work.next(ADA)
            if shown.blind:
                break
            position = next((one.position for one in shown.joints if one.called and not one.said), -1)
            count += 1
            work.decide(ADA, given(shown, position, token=f"{count:08d}"))
        (joint,) = shown.joints
        assert (joint.said, joint.score, joint.novelty) == (None, None, None)
        before = work.open()
        again = given(shown, joint.position, Answer.CONFIRMED, "bridge", "again-01", blind=True)
        assert work.decide(ADA, again).open == before
        with station.sources[0].records.reading() as connection:
            found = agreement(list(read_decisions(connection)))
        assert (found.items, found.agreed) == (1, 0)


def joint_of(station, number=3, refdes=None):
    with station.sources[0].records.reading() as connection:
        board = read_board(connection, number + 1)
        joints = read_joints(connection, board)
    return board, next(one for one in joints if refdes in (None, one.refdes))


def decoded(encoded):
    return cv2.imdecode(np.frombuffer(encoded.data, np.uint8), cv2.IMREAD_GRAYSCALE).astype(float)


def test_a_joint_and_its_golden_show_the_same_place(station):
    board, joint = joint_of(station, refdes="J006")
    assert joint.verdict == "PASS"
    pictures = station.sources[0].pictures
    here, golden = decoded(pictures.joint(board, joint)), decoded(pictures.golden(board, joint))
    other = decoded(pictures.golden(board, joint_of(station, refdes="J003")[1]))
    assert here.shape == golden.shape == (480, 480)
    alike, unlike = (np.corrcoef(here.ravel(), one.ravel())[0, 1] for one in (golden, other))
    assert alike > 0.6 > unlike


def test_good_boards_are_those_where_this_joint_passed_and_whose_picture_is_there(station, material):
    board, joint = joint_of(station)
    pictures = station.sources[0].pictures
    query = (
        "SELECT b.board FROM boards b JOIN joints j ON j.board_id = b.id WHERE j.verdict = 'PASS' "
        f"AND j.position = {joint.position} AND b.id <> {board.id} ORDER BY b.id DESC"
    )
    passed = [name for (name,) in rows(material.database, query)]
    assert [one.board for one in pictures.good_boards(board, joint)] == passed[:3]
    shutil.rmtree(material.pictures)
    assert pictures.good_boards(board, joint) == []


def test_a_missing_picture_says_why(station, material):
    pictures = station.sources[0].pictures
    board, joint = joint_of(station)
    lost, lost_joint = joint_of(station, 2)
    with pytest.raises(NoPictureError, match="could not be aligned"):
        pictures.joint(lost, lost_joint)
    shutil.rmtree(material.pictures)
    with pytest.raises(NoPictureError, match="deleted, or not kept"):
        pictures.joint(board, joint)


def test_a_damaged_picture_and_one_behind_a_link_are_no_pictures(station, material, tmp_path):
    board, joint = joint_of(station)
    path = material.pictures / f"{board.board}.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    with pytest.raises(NoPictureError, match="damaged"):
        station.sources[0].pictures.joint(board, joint)
    (tmp_path / "secret.jpg").write_bytes(whole)
    path.unlink()
    path.symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(NoPictureError, match="deleted, or not kept"):
        station.sources[0].pictures.joint(board, joint)


def test_without_the_boards_recipe_there_is_no_place_but_the_page_says_so(material):
    with Station(StationRequest(records=[material.database]), SystemClock()) as station:
        board, joint = joint_of(station)
        assert station.verification.board(0, board.id).frame is None
        with pytest.raises(NoPictureError, match="does not have the recipe"):
            station.sources[0].pictures.joint(board, joint)
