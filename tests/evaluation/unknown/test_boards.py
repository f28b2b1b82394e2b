"""What the two judges of a frame are asked, and how their records are put together."""

import numpy as np
import pytest

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.protocols import BoardRecord, JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.evaluation.unknown.boards import Judges

FRAME = np.arange(64 * 64, dtype=np.uint32).reshape(64, 64).astype(np.uint8)
MAPS = np.array([[[1.0, 0, 8], [0, 1.0, 8]], [[1.0, 0, 40], [0, 1.0, 40]]])
SPEC = PreprocessSpec(height=16, width=16, channels=1)


def record(*joints):
    made = tuple(
        JointRecord(f"J{number}", Verdict(verdict), score, 0.2, 0.6, cause=cause)
        for number, (verdict, score, cause) in enumerate(joints)
    )
    return BoardRecord("b", 0, "f", "", Verdict.PASS, made, "", "")


def judges(full, plain, asked):
    def judge(which, answer, maps):
        def judged(frame, name):
            asked.append(which)
            return answer, maps

        return judged

    return Judges(
        judge("full", full, None if full.joints[0].score is None else MAPS), judge("plain", plain, MAPS), SPEC
    )


PASSES = record(("PASS", 0.1, ""), ("PASS", 0.1, ""))


@pytest.mark.parametrize(
    ("full", "asked", "alone", "refusal"),
    [
        (record(("REVIEW", 0.1, "unlike-training"), ("FAIL", 0.9, "")), ["full"], [True, False], ""),
        (record(("REVIEW", 0.3, ""), ("ERROR", None, "hidden")), ["full"], [False, False], ""),
        (record(("REVIEW", 0.3, ""), ("ERROR", None, "non-finite")), ["full", "plain"], [False, True], ""),
        (record(*[("ERROR", None, "wrong-board")] * 2), ["full", "plain"], [True, True], "wrong-board"),
    ],
)
def test_the_score_alone_is_asked_where_the_guard_hides_it(full, asked, alone, refusal):
    told = []
    judged = judges(full, PASSES, told).judge(FRAME, "f")
    assert told == asked
    assert [outcome.alone for outcome in judged.outcomes] == alone
    assert [outcome.verdict for outcome in judged.outcomes] == [joint.verdict for joint in full.joints]
    assert judged.refusal == refusal


def test_the_pictures_are_the_crops_that_were_judged_even_of_a_refused_board():
    refused = record(*[("ERROR", None, "wrong-board")] * 2)
    for full in (PASSES, refused):
        judged = judges(full, PASSES, []).judge(FRAME, "f")
        assert np.array_equal(judged.crop(0)[..., 0], FRAME[8:24, 8:24])
        assert np.array_equal(judged.crop(1)[..., 0], FRAME[40:56, 40:56])
