import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sji_edge.metrics.fisher import excess_p

COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 900), st.integers(0, 900))


def naive(called, judged, peers_called, peers_judged):
    """Count the ways to spread all calls over all boards; those with as many on the one, or more."""
    together = called + peers_called
    ways = math.comb(judged + peers_judged, together)
    more = range(called, min(judged, together) + 1)
    return sum(math.comb(judged, x) * math.comb(peers_judged, together - x) for x in more) / ways


@given(COUNTS)
def test_it_is_the_share_of_ways_that_are_as_extreme(counts):
    called, other, peers_called, peers_other = counts
    judged, peers_judged = called + other, peers_called + peers_other
    found = excess_p(called, judged, peers_called, peers_judged)
    assert found == pytest.approx(naive(called, judged, peers_called, peers_judged), rel=1e-9)


def test_scipy_agrees():
    stats = pytest.importorskip("scipy.stats")
    table = [[7, 3], [20, 470]]
    assert excess_p(7, 10, 20, 490) == pytest.approx(stats.fisher_exact(table, "greater").pvalue, rel=1e-9)


def test_many_boards_neither_overflow_nor_vanish():
    assert excess_p(1, 100_000, 900_000, 1_000_000) == pytest.approx(1.0, abs=1e-6)
    assert 0.0 < excess_p(60, 100_000, 200, 1_000_000) < 1e-6
    assert 0.0 < excess_p(100_000, 100_000, 0, 1_000_000) < 1e-300


@pytest.mark.parametrize("wrong", [(2, 1, 0, 5), (-1, 1, 0, 5), (0, 1, 6, 5)])
def test_what_is_no_proportion_is_refused(wrong):
    with pytest.raises(ValueError, match="not proportions"):
        excess_p(*wrong)
