import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sji_edge.core.errors import DataError
from sji_edge.core.verdict import PASS, REVIEW, Thresholds, decide
from sji_edge.metrics.thresholds import (
    LEAST_REVIEW,
    REVIEWED_DEFECTS,
    SOFTNESS,
    best_f1_limit,
    fail_limit,
    limit_above,
    match_novelty,
    match_thresholds,
    thresholds_for_escape,
)


def cases():
    """Score sets from separable to hopeless, with and without ties, few and many joints."""
    rng = np.random.default_rng(0)
    for trial in range(60):
        n = int(rng.integers(3, 120))
        truth = rng.random(n) < 0.3
        truth[:2] = True, False
        scores = 1 / (1 + np.exp(-rng.normal(np.where(truth, 2.0, -2.0), 0.3 + trial / 20, n)))
        yield (np.round(scores, 1) * 0.98 + 0.01 if trial % 3 == 0 else scores), truth


def logit(scores):
    return np.log(scores / (1 - scores))


def expected_f1(limit: float, scores: np.ndarray, truth: np.ndarray) -> float:
    """F1 from the chances that each joint is called, its score disturbed by a logistic in logits."""
    chances = [1 / (1 + np.exp(-(logit(s) - logit(limit)) / SOFTNESS)) for s in scores]
    hits = sum(chance for chance, defect in zip(chances, truth, strict=True) if defect)
    return 2 * hits / (sum(chances) + truth.sum())


@pytest.mark.parametrize("max_escape", [0.0, 0.1, 0.5])
def test_no_more_defects_pass_than_the_escape_rate_allows(max_escape):
    for scores, truth in cases():
        found = thresholds_for_escape(scores, truth, max_escape)
        assert (scores[truth] < found.lower).mean() <= max_escape


def test_the_f1_limit_has_the_best_expected_f1_between_any_two_scores():
    for scores, truth in cases():
        found = best_f1_limit(scores, truth)
        places = np.unique(logit(scores))
        middles = [1 / (1 + np.exp(-place)) for place in (places[1:] + places[:-1]) / 2]
        best = max((expected_f1(middle, scores, truth) for middle in middles), default=0.0)
        assert expected_f1(found, scores, truth) >= best - 1e-9


def test_fail_starts_above_the_good_joints_and_below_most_defects():
    for scores, truth in cases():
        for lower in (0.01, 0.3, 0.8):
            upper = fail_limit(scores, truth, lower)
            goods, defects = scores[~truth], scores[truth]
            # With fewer than 1,000 good joints, none of them may be a false call.
            assert (goods >= upper).sum() == 0
            assert logit(upper) >= logit(lower) + LEAST_REVIEW - 1e-9
            # It is no higher than one of its three reasons needs.
            below = np.sort(logit(defects))[int(REVIEWED_DEFECTS * defects.size + 1e-9)]
            highest = max(below, logit(goods.max()) + SOFTNESS, logit(lower) + LEAST_REVIEW)
            assert logit(upper) <= highest + 1e-9


def test_a_gap_without_any_joint_belongs_to_review():
    scores = np.concatenate([np.linspace(0.01, 0.1, 60), np.linspace(0.9, 0.99, 40)])
    truth = scores > 0.5
    lower = thresholds_for_escape(scores, truth, 0.0).lower
    upper = fail_limit(scores, truth, 0.12)
    assert 0.85 < upper < scores[truth][2]
    assert (
        decide(np.array([0.2, 0.4, 0.6, 0.8]), Thresholds(lower=0.12, upper=upper)).tolist() == [REVIEW] * 4
    )
    assert lower < 0.9


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=50), st.integers(0, 60), st.floats(0.0, 2.0))
def test_a_limit_is_reached_by_no_more_values_than_allowed(values, stopped, reach):
    values = np.array(values)
    limit = limit_above(values, stopped, reach)
    assert (values >= limit).sum() <= max(stopped, 0) or stopped >= values.size
    # As low as possible: with the next lower value it would stop too many, and it is within reach of that one.
    below = values[values < limit]
    if below.size:
        assert (values >= below.max()).sum() > stopped
        assert limit <= np.nextafter(below.max() + reach, np.inf) + 1e-9


@pytest.mark.parametrize("truth", [[False, False], [True, True]])
def test_one_kind_of_joint_alone_is_refused(truth):
    with pytest.raises(DataError, match="good and defective joints"):
        thresholds_for_escape(np.array([0.2, 0.8]), np.array(truth), 0.0)


def engines():
    rng = np.random.default_rng(1)
    for trial in range(120):
        n = int(rng.integers(1, 150))
        reference = rng.random(n) if trial % 2 else np.round(rng.random(n), 1)
        error = rng.normal(0, rng.choice([0.0, 0.01, 0.1, 0.5]), n)
        lower, upper = np.sort(rng.uniform(0.05, 0.95, 2))
        yield reference, np.clip(reference + error, 1e-6, 1.0), Thresholds(lower=lower, upper=upper)


def test_a_joint_that_the_reference_did_not_pass_does_not_pass_with_matched_thresholds():
    for reference, scores, thresholds in engines():
        truth = reference > 0.5
        matched = match_thresholds(reference, scores, truth, thresholds)
        before, after = decide(reference, thresholds), decide(scores, matched)
        assert not ((before != PASS) & (after == PASS)).any()
        assert matched.lower <= thresholds.lower


def test_the_guard_band_costs_few_reviews_where_scores_crowd():
    rng = np.random.default_rng(0)
    reference = np.concatenate([rng.uniform(0.01, 0.45, 3800), rng.uniform(0.55, 0.99, 200)])
    scores = 1 / (1 + np.exp(-logit(reference) - rng.normal(0, 0.05, reference.size)))
    limits = Thresholds(lower=0.3, upper=0.5)
    matched = match_thresholds(reference, scores, reference > 0.5, limits)
    sent = (decide(reference, limits) == PASS) & (decide(scores, matched) != PASS)
    needed = scores[(reference >= 0.3)].min()
    assert sent.sum() <= max(10, (scores[reference < 0.3] >= needed).sum())
    assert matched.lower <= needed


def test_an_equal_engine_keeps_the_thresholds():
    for reference, _, thresholds in engines():
        matched = match_thresholds(reference, reference, reference > 0.5, thresholds)
        assert matched.lower == pytest.approx(thresholds.lower)
        assert matched.upper == thresholds.upper


def test_matching_the_fail_limit_never_makes_more_flips_and_f1_change():
    def distance(called, failed, truth):
        def f1(mask):
            total = mask.sum() + truth.sum()
            return 2 * (mask & truth).sum() / total if total else 0.0

        return (called != failed).mean() + abs(f1(called) - f1(failed))

    for reference, scores, thresholds in engines():
        truth = reference > 0.5
        matched = match_thresholds(reference, scores, truth, thresholds)
        failed = reference >= thresholds.upper
        if matched.upper == matched.lower:
            continue
        assert distance(scores >= matched.upper, failed, truth) <= distance(
            scores >= thresholds.upper, failed, truth
        )


def test_scores_that_fell_together_are_followed_by_the_fail_limit():
    reference = np.linspace(0.01, 0.99, 99)
    fallen = 1 / (1 + np.exp(-(logit(reference) - 0.8)))
    thresholds = Thresholds(lower=0.305, upper=0.605)
    matched = match_thresholds(reference, fallen, reference > 0.5, thresholds)
    assert np.array_equal(fallen >= matched.upper, reference >= 0.605)


def test_arguments_are_not_modified():
    scores, truth = np.array([0.9, 0.1, 0.8, 0.3]), np.array([True, False, True, False])
    copies = scores.copy(), truth.copy()
    found = thresholds_for_escape(scores, truth, 0.0)
    match_thresholds(scores, scores, truth, found)
    assert np.array_equal(scores, copies[0])
    assert np.array_equal(truth, copies[1])


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 400),
    st.floats(0.0, 0.5),
    st.floats(0.2, 3.0),
    st.floats(-0.5, 0.5),
)
def test_the_guards_limit_never_lets_a_stopped_crop_pass(seed, crops, noise, limit, shift):
    rng = np.random.default_rng(seed)
    reference = rng.gamma(3.0, 0.25, crops).astype(np.float32)
    own = (reference + noise * rng.normal(size=crops) + shift).astype(np.float32)
    passes = rng.random(crops) < 0.8
    matched = match_novelty(reference, own, passes, limit)
    assert 0 < matched <= limit
    stopped = passes & (reference.astype(np.float64) >= limit)
    # A novelty of 0 or less is below every possible limit: the gate counts that crop.
    assert not (own[stopped & (own > 1e-9)].astype(np.float64) < matched).any()


def test_an_engine_that_agrees_keeps_the_guards_limit():
    reference = np.linspace(0.1, 2.0, 200).astype(np.float32)
    assert match_novelty(reference, reference, np.ones(200, np.bool_), 1.0) == pytest.approx(1.0, abs=0.01)


def test_the_guard_band_is_the_engines_shortfall_near_the_limit():
    rng = np.random.default_rng(0)
    reference = rng.uniform(0.3, 0.9, 2000).astype(np.float32)
    own = reference - np.where(np.arange(2000) % 20 == 0, 0.05, 0.0).astype(np.float32)
    matched = match_novelty(reference, own, np.ones(2000, np.bool_), 1.0)
    assert matched == pytest.approx(0.95, abs=1e-3)
    # It costs no more than a quarter of a percent of the crops their PASS.
    dense = np.full(2000, 0.97, np.float32)
    dense[::20] -= np.float32(0.1)
    costly = match_novelty(np.full(2000, 0.97, np.float32), dense, np.ones(2000, np.bool_), 1.0)
    assert (dense.astype(np.float64) >= costly).mean() <= 0.0025
