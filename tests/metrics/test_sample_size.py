import pytest
from scipy.stats import binom

from sji_edge.metrics.sample_size import defects_needed


@pytest.mark.parametrize("rate", [0.001, 0.005, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_it_is_the_smallest_number_whose_chance_of_no_miss_is_small_enough(rate, confidence):
    needed = defects_needed(rate, confidence)
    assert binom.pmf(0, needed, rate) <= 1 - confidence < binom.pmf(0, needed - 1, rate)


def test_the_rule_of_three_holds_at_95_percent():
    assert defects_needed(0.005) == 598
    assert 0.005 * defects_needed(0.005) == pytest.approx(3.0, abs=0.02)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_claim_that_no_number_proves_is_refused(rate):
    with pytest.raises(ValueError, match="between 0 and 1"):
        defects_needed(rate)
