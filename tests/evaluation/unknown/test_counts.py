import numpy as np
import pytest

from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Thresholds, Verdict
from sji_edge.evaluation.unknown.counts import Outcome, outcome_of_record, outcomes_of_scores, row_of

LIMITS = Thresholds(lower=0.2, upper=0.6, novelty=1.0)
SCORES = np.array([0.1, 0.1, 0.3, 0.9, 0.19, np.nan])
NOVELTY = np.array([0.5, 1.0, 0.1, 9.0, 4.0, 0.0], np.float32)


def test_a_row_counts_both_columns_and_every_verdict():
    outcomes = outcomes_of_scores(SCORES, LIMITS, NOVELTY)
    row = row_of("wire", "", "crops", outcomes, guarded=True)
    assert row.joints == 6
    assert row.score_alone.passed == 3
    assert row.with_guard.passed == 1
    assert row.decided == {"ERROR": 1, "FAIL": 1, "PASS": 1, "REVIEW": 1, "REVIEW unlike-training": 2}
    assert row.score_alone.share == 0.5


def test_without_a_guard_there_is_one_column():
    row = row_of("wire", "", "crops", outcomes_of_scores(SCORES, LIMITS, None), guarded=False)
    assert row.score_alone.passed == 3
    assert row.with_guard is None
    assert row.decided["PASS"] == 3


def test_the_interval_is_exact():
    none = row_of("wire", "", "crops", [Outcome(False, Verdict.FAIL)] * 50, guarded=True).with_guard
    assert (none.passed, none.low) == (0, 0.0)
    # No success among n: the upper limit is 1 - 0.025^(1/n).
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 50))


def record(verdict, score, cause=""):
    return JointRecord("J1", Verdict(verdict), score, 0.2, 0.6, cause=cause)


@pytest.mark.parametrize(
    ("joint", "plain", "alone"),
    [
        (record("PASS", 0.1), None, True),
        (record("REVIEW", 0.1, "unlike-training"), None, True),
        (record("REVIEW", 0.2), None, False),
        (record("FAIL", 0.7), None, False),
        (record("ERROR", None, "hidden"), record("ERROR", None, "hidden"), False),
        (record("ERROR", None, "wrong-board"), record("PASS", 0.1), True),
        (record("ERROR", None, "wrong-board"), record("FAIL", 0.9), False),
    ],
)
def test_a_joint_s_record_tells_what_its_score_alone_says(joint, plain, alone):
    outcome = outcome_of_record(joint, plain)
    assert outcome.alone is alone
    assert outcome.verdict is joint.verdict
    assert outcome.said == f"{joint.verdict} {joint.cause}".strip()
