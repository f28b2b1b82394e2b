import pytest
from scipy import stats

from sji_edge.metrics.intervals import beta_cdf, clopper_pearson

CASES = [(0, 1), (1, 1), (0, 35), (35, 35), (1, 35), (3, 35), (17, 35), (34, 35), (7, 317), (500, 1000)]
CASES += [(1, 100_000), (50_000, 100_000), (99_999, 100_000), (12, 1_000_000)]


@pytest.mark.parametrize(("k", "n"), CASES)
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_interval_equals_scipys_beta_quantiles(k: int, n: int, confidence: float) -> None:
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, k, n - k + 1) if k else 0.0
    high = stats.beta.ppf(1 - tail, k + 1, n - k) if k < n else 1.0
    assert clopper_pearson(k, n, confidence) == pytest.approx((low, high), abs=1e-9)


def test_every_small_case_equals_scipys_exact_interval() -> None:
    for n in range(1, 40):
        for k in range(n + 1):
            wanted = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
            assert clopper_pearson(k, n) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_no_trials_know_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_zero_escapes_of_many_is_the_rule_of_three_not_zero() -> None:
    assert clopper_pearson(0, 1000)[1] == pytest.approx(1 - 0.025 ** (1 / 1000), rel=1e-12)


@pytest.mark.parametrize("bad", [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 0.0), (1, 3, 1.0)])
def test_impossible_counts_are_refused(bad: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError):
        clopper_pearson(*bad)


@pytest.mark.parametrize("x", [1e-6, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_beta_cdf_equals_scipy(x: float) -> None:
    for a, b in [(1, 1), (0.5, 3), (30, 4), (4, 300)]:
        assert beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), abs=1e-13)
