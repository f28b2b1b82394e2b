import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sji_edge.core.errors import DataError
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import PASS, decide
from sji_edge.metrics.review_budget import (
    PARTS,
    choose_for,
    choose_limits,
    escape_estimate,
    limits_within,
)
from sji_edge.metrics.thresholds import LEAST_REVIEW, best_f1_limit


def logit(score):
    return np.log(score / (1 - score))


def expit(place):
    return 1 / (1 + np.exp(-place))


def drawn(seed, count, place, spread=1.0):
    """Scores around ``place`` logits and novelties that are partly like them."""
    rng = np.random.default_rng(seed)
    places = rng.normal(place, spread, count)
    return {
        "score": expit(places),
        "novelty": np.exp(rng.normal(0, 0.5, count)) + 0.1 * np.maximum(places, 0),
    }


GOOD, DEFECTS, NOVELTIES = drawn(0, 2000, -4), drawn(1, 100, 3), drawn(2, 400, -2, 2.0)
NOVELTIES["novelty"] = NOVELTIES["novelty"] + 1.0


def stops(views, thresholds):
    return decide(views["score"], thresholds, views.get("novelty")) != PASS


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(20, 400), st.floats(0.002, 0.3), st.booleans())
def test_no_more_good_joints_are_stopped_than_the_budget_allows_where_defects_lie_apart(
    seed, count, budget, guarded
):
    good, defects, made = drawn(seed, count, -6), drawn(seed + 1, 20, 6), drawn(seed + 2, 30, -2)
    if not guarded:
        good, defects, made = ({"score": views["score"]} for views in (good, defects, made))
    found, record = choose_limits(good, defects, budget, novelties=made if guarded else None)
    assert stops(good, found).sum() == record.stopped <= np.floor(budget * count + 1e-6)
    assert record.is_met
    assert logit(found.upper) >= logit(found.lower) + LEAST_REVIEW - 1e-6


def test_a_guard_spends_what_the_score_leaves():
    _, record = choose_limits(GOOD, DEFECTS, 0.02, novelties=NOVELTIES)
    assert record.stopped == 40


def crowd(scores, limit):
    """Scores that an engine whose scores are 0.3 logits lower would take from PASS."""
    return sum(logit(limit) - 0.3 <= logit(score) < logit(limit) for score in scores)


def test_few_scores_lie_where_an_engine_could_change_them():
    for seed in range(20):
        good, defects = ({"score": drawn(*how)["score"]} for how in ((seed, 1000, -5), (seed + 50, 30, 5)))
        found, record = choose_limits(good, defects, 0.03)
        assert crowd(good["score"], found.lower) <= 2
        assert record.stopped <= 30
    alike = {"score": np.r_[np.full(95, 0.01), np.linspace(0.02, 0.06, 5)]}
    assert choose_limits(alike, {"score": np.full(9, 0.9)}, 0.05).thresholds.lower > 0.01


def test_no_division_of_the_budget_stops_clearly_more_defects_and_novelties():
    """Every division again by brute force: the score gets a quarter at most, the novelty takes what it leaves."""
    found, record = choose_limits(GOOD, DEFECTS, 0.016, novelties=NOVELTIES)
    total, costs = 32, []
    for for_score in range(0, total // 4 + 1, total // PARTS):
        ranked = np.r_[1 - 1e-12, np.sort(GOOD["score"])[::-1]]
        for stopped in range(for_score, -1, -1):
            middle = (logit(ranked[stopped + 1]) + logit(ranked[stopped])) / 2
            lower = expit(min(logit(ranked[stopped + 1]) + 0.3, middle))
            if crowd(GOOD["score"], lower) <= 5:
                break
        left = np.sort(GOOD["novelty"][GOOD["score"] < lower])[::-1]
        limit = np.nextafter(left[for_score - stopped + total - for_score], np.inf)
        defects = ((DEFECTS["score"] < lower) & (DEFECTS["novelty"] < limit)).sum()
        usual, lowest = np.median(logit(GOOD["score"])), logit(DEFECTS["score"]).min()
        unseen = np.clip((logit(lower) - usual) / (lowest - usual), 0, 1)
        made = ((NOVELTIES["score"] < lower) & (NOVELTIES["novelty"] < limit)).mean()
        costs.append(((defects + unseen) / 101, made, for_score, lower, limit))
    _, _, for_score, lower, limit = min(costs, key=lambda one: (one[0] * (400 * one[1] + 1), one[2]))
    assert record.shares["score"] == pytest.approx(0.016 * for_score / total)
    assert found.lower == pytest.approx(lower, rel=1e-9)
    assert found.novelty == pytest.approx(limit, rel=1e-12)
    assert [split.escapes for split in record.splits] == pytest.approx([one[0] for one in costs])
    assert [split.novelties for split in record.splits] == pytest.approx([one[1] for one in costs])


def test_a_guard_that_sees_nothing_leaves_the_budget_to_the_score():
    blind = NOVELTIES | {"novelty": np.zeros(400)}
    found, _ = choose_limits(GOOD, DEFECTS | {"novelty": np.zeros(100)}, 0.02, novelties=blind)
    alone, _ = choose_limits({"score": GOOD["score"]}, {"score": DEFECTS["score"]}, 0.02)
    assert found.lower == alone.lower


def test_a_tie_goes_to_the_guard():
    # Good joints that are all alike: every division gives the same limits.
    good = {"score": np.full(100, 0.01), "novelty": np.full(100, 0.5)}
    caught = {"score": np.full(50, 0.999), "novelty": np.full(50, 99.0)}
    _, record = choose_limits(good, caught, 0.02, novelties=caught)
    assert record.shares == {"score": 0.0, "novelty": 0.02}


def test_a_budget_that_would_pass_joints_that_are_as_likely_defects_is_exceeded_and_says_so():
    good, defects = {"score": drawn(3, 200, -1)["score"]}, {"score": drawn(4, 200, 1)["score"]}
    found, record = choose_limits(good, defects, 0.01)
    scores = np.concatenate([good["score"], defects["score"]])
    assert found.lower == best_f1_limit(scores, np.arange(400) >= 200)
    assert not record.is_met
    assert record.reached == (good["score"] >= found.lower).mean() > 0.01
    assert "The budget of 1.00% cannot be met" in " ".join(record.words)
    assert f"Reached: {record.reached:.2%}" in " ".join(record.words)


def test_a_model_that_gives_one_answer_to_everything_passes_nothing():
    found, record = choose_limits({"score": np.full(20, 0.5)}, {"score": np.full(5, 0.5)}, 0.01)
    assert decide(np.array([0.5]), found)[0] != PASS
    assert record.stopped == 20


def test_saturated_scores_are_told_apart():
    found, _ = choose_limits({"score": np.zeros(9)}, {"score": np.ones(4)}, 0.01)
    assert 0.0 < found.lower < found.upper <= 1.0
    saturated, _ = choose_limits({"score": np.r_[np.zeros(98), 1.0, 1.0]}, {"score": np.ones(4)}, 0.01)
    assert decide(np.array([0.0, 1.0]), saturated)[1] != PASS


def test_the_next_defect_is_expected_anywhere_below_the_known_ones():
    good, defects = {"score": expit(np.full(9, -4.0))}, {"score": expit(np.array([2.0, 4.0, 6.0]))}
    # One unseen defect in four joints; half of the way from -4 to 2 lies below -1.
    assert escape_estimate(good, defects, {"score": expit(-1.0)}, 1) == pytest.approx(0.5 / 4)
    assert escape_estimate(good, defects, {"score": expit(3.0)}, 1) == pytest.approx((1 + 1) / 4)
    # Three views of one joint are one defect.
    assert escape_estimate(good, defects, {"score": expit(-1.0)}, 3) == pytest.approx(0.5 / 2)


def test_further_measures_take_their_share_in_turn():
    rng = np.random.default_rng(0)
    good = {name: rng.random(1000) for name in ("score", "novelty", "golden")}
    shares = {"score": 0.01, "novelty": 0.02, "golden": 0.03}
    limits = limits_within(good, shares)
    reached = [
        np.logical_or.reduce([good[name] >= limits[name] for name in names]).sum()
        for names in itertools.accumulate([name] for name in shares)
    ]
    assert reached == [10, 30, 60]


def test_answers_that_are_not_finite_are_refused():
    logits = np.zeros((4, 2), np.float32)
    novelty = np.array([0.1, np.nan, 0.2, 0.3], np.float32)
    labels = np.array([0, 0, 1, 1])
    with pytest.raises(DataError, match="a novelty of the model is not a finite number"):
        choose_for(EngineOutput(logits, novelty), labels, 0, 0.01, views=1)
