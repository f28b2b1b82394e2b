import numpy as np
import pytest

from sji_edge.metrics.bootstrap import paired_p_value, percentile_interval, resamples


def test_a_replicate_draws_whole_groups():
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    seen = set()
    for drawn in resamples(groups, 200, np.random.default_rng(0)):
        counts = np.bincount(drawn, minlength=6)
        for name in "abc":
            assert len(set(counts[groups == name])) == 1
        assert sum(counts[np.flatnonzero(groups == name)[0]] for name in "abc") == 3
        seen.add(tuple(counts))
    assert len(seen) == 10  # three of three groups with replacement, order aside


def test_the_interval_of_a_mean_is_that_of_the_normal_law():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, 400)
    means = np.array([values[drawn].mean() for drawn in resamples(np.arange(400), 2000, rng)])
    low, high = percentile_interval(means)
    error = values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.02)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.02)


def test_unknown_replicates_are_left_out():
    assert percentile_interval(np.array([np.nan, 1.0, 3.0]), 0.5) == (1.5, 2.5)
    assert percentile_interval(np.array([np.nan])) is None
    assert paired_p_value(np.array([np.nan]), np.array([1.0])) is None
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile_interval(np.ones(3), 95)
    with pytest.raises(ValueError, match="not paired"):
        paired_p_value(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="no joint"):
        next(resamples(np.empty(0), 1, np.random.default_rng(0)))


def test_the_p_value_counts_replicates_of_the_other_sign_and_ties_for_both():
    one = np.array([1.0, 1.0, 1.0, 0.0])
    assert paired_p_value(one, np.array([0.0, 0.0, 0.5, 0.5])) == pytest.approx(2 * (1 + 1) / 5)
    assert paired_p_value(one, one) == 1.0
    assert paired_p_value(np.ones(999), np.zeros(999)) == pytest.approx(2 / 1000)
