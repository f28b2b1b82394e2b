import pytest
from scipy.stats import binomtest

from sji_edge.metrics.mcnemar import rate_change, worse_p


@pytest.mark.parametrize(("new", "old"), [(0, 0), (1, 0), (0, 7), (5, 1), (9, 9), (40, 22)])
def test_the_p_value_is_that_of_a_binomial_test_of_the_discordant_pairs(new, old):
    expected = 1.0 if new + old == 0 else binomtest(new, new + old, 0.5, alternative="greater").pvalue
    assert worse_p(new, old) == pytest.approx(expected, rel=1e-12)


def test_the_interval_holds_the_change_and_widens_with_fewer_joints():
    low, high = rate_change(5, 2, 100)
    wide_low, wide_high = rate_change(1, 0, 20)
    assert low < 0.03 < high
    assert wide_high - wide_low > high - low
    # Half of the error probability each: the interval of 5 of 100 at 97.5 %.
    upper = binomtest(5, 100).proportion_ci(0.975, method="exact").high
    lower = binomtest(2, 100).proportion_ci(0.975, method="exact").low
    assert high == pytest.approx(upper - lower, abs=1e-9)
    assert rate_change(0, 0, 0) == (-1.0, 1.0)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="counts must be at least 0"):
        worse_p(-1, 2)
