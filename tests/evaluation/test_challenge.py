import numpy as np
import pytest

from sji_edge.core.verdict import FAIL, PASS, REVIEW
from sji_edge.evaluation.challenge import PairedJoints, compare_paired, in_words


def paired(rows):
    """Joints from (is a defect, held out, verdict of the new one, verdict of the old one)."""
    columns = list(zip(*rows, strict=True))
    return PairedJoints(
        [f"joint{number}" for number in range(len(rows))],
        np.array(columns[0], bool),
        np.array(columns[1], bool),
        np.array(columns[2], np.int8),
        np.array(columns[3], np.int8),
    )


GOOD = (False, True, PASS, PASS)
CAUGHT = (True, True, FAIL, FAIL)


def test_an_equal_engine_passes():
    outcome = compare_paired(paired([GOOD] * 50 + [CAUGHT] * 5))
    assert outcome
    assert outcome.failures == ()
    assert outcome.calls.p_worse == 1.0


def test_one_confirmed_defect_that_only_the_deployed_engine_calls_is_enough_to_fail():
    # In the training split, and made up for by another that only the new one calls.
    rows = [GOOD] * 50 + [CAUGHT] * 5 + [(True, False, PASS, REVIEW), (True, False, FAIL, PASS)]
    outcome = compare_paired(paired(rows))
    assert outcome.newly_missed == ("joint55",)
    assert outcome.newly_caught == ("joint56",)
    assert outcome.escapes.new == outcome.escapes.old == 0
    assert "1 confirmed defect that the deployed engine calls is passed: joint55" in outcome.failures[0]


def test_a_defect_that_both_pass_does_not_count_against_the_new_one():
    assert compare_paired(paired([GOOD] * 50 + [CAUGHT, (True, True, PASS, PASS)]))


def test_a_review_of_a_defect_is_no_escape():
    assert compare_paired(paired([GOOD, CAUGHT, (True, True, REVIEW, FAIL)]))


@pytest.mark.parametrize(("more", "passes"), [(4, True), (5, False)])
def test_more_false_calls_fail_only_where_chance_does_not_explain_them(more, passes):
    # 5 of 5 discordant pairs: p = 1/32; 4 of 4: p = 1/16.
    outcome = compare_paired(paired([GOOD] * 50 + [CAUGHT] + [(False, True, REVIEW, PASS)] * more))
    assert bool(outcome) is passes
    assert outcome.calls.p_worse == pytest.approx(0.5**more)


def test_false_calls_of_the_training_split_do_not_count():
    assert compare_paired(paired([GOOD, CAUGHT] + [(False, False, FAIL, PASS)] * 30))


def test_no_evidence_fails():
    assert "it needs both" in compare_paired(paired([GOOD])).failures[0]
    assert not compare_paired(paired([CAUGHT]))


def test_the_sentences_scale_the_counts_to_1000_boards():
    rows = [GOOD] * 96 + [(False, True, PASS, FAIL)] * 4 + [CAUGHT] * 9 + [(True, True, FAIL, PASS)]
    words = in_words(compare_paired(paired(rows)), joints_per_board=50, defect_share=0.02)
    # 4 of 100 good joints fewer, of 49,000 good joints on 1,000 boards.
    assert "about 1,960 fewer good joints (95 %:" in words[1]
    assert "1,000 boards of 50 joints with 1,000 defects, about 100 fewer defects" in words[2]
    assert "calls 1 that the deployed one passes" in words[3]
    same = in_words(compare_paired(paired([GOOD, CAUGHT])), joints_per_board=1, defect_share=0.1)
    assert "Per 1,000 joints, somebody has to look at about as many good joints as today" in same[1]
