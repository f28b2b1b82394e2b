import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sji_edge.core.verdict import (
    ERROR,
    FAIL,
    PASS,
    REVIEW,
    Thresholds,
    Verdict,
    decide,
    decide_each,
    defect_scores,
    stopped_by_guard,
    worst,
)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_scores_are_one_minus_the_softmax_of_the_good_class(classes):
    logits = np.random.default_rng(0).normal(0, 4, (50, classes)).astype(np.float32)
    for good in range(classes):
        wide = logits.astype(np.float64)
        softmax = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(defect_scores(logits, good), 1 - softmax[:, good], atol=1e-12)


def test_a_score_near_zero_keeps_its_precision():
    logits = np.array([[60.0, 0.0]], np.float32)
    assert defect_scores(logits, 0)[0] == pytest.approx(np.exp(-60.0), rel=1e-12)


def test_extreme_logits_give_scores_and_not_nan():
    logits = np.array([[3e38, -3e38], [-3e38, 3e38], [0.0, 0.0]], np.float32)
    assert defect_scores(logits, 0).tolist() == [0.0, 1.0, 0.5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_logit_becomes_error_and_changes_no_other_joint(bad):
    logits = np.array([[1.0, 0.0], [bad, 0.0], [0.0, bad]], np.float32)
    kept = logits.copy()
    scores = defect_scores(logits, 0)
    assert np.isfinite(scores[0])
    assert np.isnan(scores[1:]).all()
    assert decide(scores, Thresholds(lower=0.4, upper=0.6)).tolist() == [PASS, ERROR, ERROR]
    assert np.array_equal(logits, kept, equal_nan=True)


def test_a_score_at_a_limit_gets_the_severer_verdict():
    limits = Thresholds(lower=0.3, upper=0.7)
    scores = np.array(
        [0.0, np.nextafter(0.3, 0), 0.3, np.nextafter(0.7, 0), 0.7, 1.0, np.nan, np.inf, -np.inf]
    )
    expected = [PASS, PASS, REVIEW, REVIEW, FAIL, FAIL, ERROR, ERROR, ERROR]
    assert decide(scores, limits).tolist() == expected


def test_equal_thresholds_leave_no_review():
    codes = decide(np.linspace(0, 1, 101), Thresholds(lower=0.5, upper=0.5))
    assert set(codes.tolist()) == {PASS, FAIL}


def test_thresholds_of_each_joint():
    scores = np.array([0.5, 0.5, 0.5, np.nan])
    codes = decide_each(scores, np.array([0.6, 0.4, 0.1, 0.1]), np.array([0.7, 0.7, 0.2, 0.2]))
    assert codes.tolist() == [PASS, REVIEW, FAIL, ERROR]


@pytest.mark.parametrize(
    ("lower", "upper"), [(0.6, 0.5), (0.0, 0.5), (0.5, 1.1), (-0.1, 0.5), (np.nan, 0.5), (0.5, np.nan)]
)
def test_thresholds_out_of_order_or_range_are_refused(lower, upper):
    with pytest.raises(ValidationError):
        Thresholds(lower=lower, upper=upper)


def test_a_board_is_as_bad_as_its_worst_joint():
    assert worst(np.array([PASS, PASS], np.int8)) is Verdict.PASS
    assert worst(np.array([PASS, REVIEW], np.int8)) is Verdict.REVIEW
    assert worst(np.array([FAIL, REVIEW], np.int8)) is Verdict.FAIL
    assert worst(np.array([FAIL, ERROR, PASS], np.int8)) is Verdict.ERROR


def test_a_board_without_joints_is_an_error_never_pass():
    assert worst(np.empty(0, np.int8)) is Verdict.ERROR


JOINTS = st.lists(
    st.tuples(
        st.floats(0, 1) | st.just(float("nan")),
        st.floats(0, 10, width=32) | st.sampled_from([float("nan"), float("inf")]),
    ),
    max_size=40,
)
LIMITS = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 10)).map(
    lambda values: Thresholds(lower=min(values[:2]), upper=max(values[:2]), novelty=values[2])
)


@given(JOINTS, LIMITS)
def test_the_guard_only_turns_pass_into_review_or_error(joints, limits):
    scores = np.array([score for score, _ in joints], np.float64)
    novelty = np.array([value for _, value in joints], np.float32)
    alone = decide(scores, limits.model_copy(update={"novelty": None}))
    guarded = decide(scores, limits, novelty)
    np.testing.assert_array_equal(guarded[alone != PASS], alone[alone != PASS])
    for value, code in zip(novelty[alone == PASS].tolist(), guarded[alone == PASS], strict=True):
        expected = ERROR if not math.isfinite(value) else PASS if value < limits.novelty else REVIEW
        assert code == expected
    stopped = stopped_by_guard(guarded, scores, np.float64(limits.lower))
    np.testing.assert_array_equal(stopped, (alone == PASS) & (guarded == REVIEW))


@pytest.mark.parametrize("novelty", [None, np.zeros(2, np.float32)])
def test_a_guard_limit_needs_a_novelty_for_each_score(novelty):
    with pytest.raises(ValueError, match="each score needs a novelty"):
        decide(np.zeros(3), Thresholds(lower=0.4, upper=0.6, novelty=1.0), novelty)


def test_without_a_limit_the_novelty_is_not_used():
    assert decide(np.zeros(1), Thresholds(lower=0.4, upper=0.6), np.full(1, np.inf)).tolist() == [PASS]


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_the_guard_limit_is_a_positive_number(limit):
    with pytest.raises(ValueError, match="novelty"):
        Thresholds(lower=0.4, upper=0.6, novelty=limit)
