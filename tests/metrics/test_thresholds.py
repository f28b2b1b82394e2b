import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sji_edge.core.errors import DataError
from sji_edge.core.verdict import FAIL, PASS, Thresholds, decide
from sji_edge.metrics.thresholds import (
    MAX_REVIEW_SHARE,
    REVIEW_SHARE,
    SOFTNESS,
    match_novelty,
    match_thresholds,
    solve_thresholds,
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
def test_lower_keeps_the_escapes_within_the_budget_of_reviews(max_escape):
    for scores, truth in cases():
        found = solve_thresholds(scores, truth, max_escape)
        goods = scores[~truth]
        escapes = (scores[truth] < found.lower).mean()
        # More escapes than allowed only if the next lower limit would send too many good joints to REVIEW.
        below = scores[scores < found.lower].max(initial=0.0)
        assert escapes <= max_escape or (goods >= below).mean() >= MAX_REVIEW_SHARE
        # One score higher, too many defects would pass, unless the FAIL limit is in the way, nearly all good joints are
        # below already, or the review budget decides.
        beyond = scores[scores > found.lower].min(initial=1.0)
        usual = np.quantile(goods, 1 - REVIEW_SHARE, method="higher")
        assert (
            found.lower == found.upper
            or (scores[truth] <= beyond).mean() > max_escape
            or found.lower == pytest.approx((usual + scores[scores > usual].min(initial=1.0)) / 2)
        )


def test_scores_between_good_and_defective_ones_are_reviewed():
    scores = np.concatenate([np.linspace(0.01, 0.10, 1000), np.linspace(0.8, 0.95, 20)])
    found = solve_thresholds(scores, scores > 0.5)
    assert 0.099 < found.lower < 0.101
    assert 0.15 < found.upper < 0.8


def test_upper_has_the_best_expected_f_score_of_all_limits_between_scores():
    for scores, truth in cases():
        found = solve_thresholds(scores, truth)
        places = np.unique(logit(scores))
        middles = [places[0] - 1, *((places[1:] + places[:-1]) / 2), places[-1] + 1]
        best = max(expected_f1(1 / (1 + np.exp(-middle)), scores, truth) for middle in middles)
        assert expected_f1(found.upper, scores, truth) == pytest.approx(best, abs=1e-9)


def test_separable_scores_are_split_without_any_error():
    scores = np.array([0.05, 0.1, 0.15, 0.7, 0.8, 0.9])
    truth = scores > 0.5
    found = solve_thresholds(scores, truth)
    codes = decide(scores, found)
    assert (codes[truth] == FAIL).all()
    assert (codes[~truth] == PASS).all()
    assert 0.2 < found.lower <= found.upper < 0.65


def test_limits_lie_between_scores_not_on_them():
    for scores, truth in cases():
        found = solve_thresholds(scores, truth)
        assert found.lower not in scores
        assert found.upper not in scores


def test_saturated_scores_still_give_thresholds():
    truth = np.array([False, False, True, True])
    found = solve_thresholds(np.array([0.0, 0.0, 1.0, 1.0]), truth)
    assert decide(np.array([0.0, 1.0]), found).tolist() == [PASS, FAIL]
    equal = solve_thresholds(np.full(4, 0.5), truth)
    assert decide(np.array([0.5]), equal)[0] != PASS


@pytest.mark.parametrize("truth", [[False, False], [True, True]])
def test_one_kind_of_joint_alone_is_refused(truth):
    with pytest.raises(DataError, match="good and defective joints"):
        solve_thresholds(np.array([0.2, 0.8]), np.array(truth))


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
    found = solve_thresholds(scores, truth)
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
