"""The Clopper-Pearson interval of a rate (Clopper and Pearson, Biometrika 26, 1934)."""

import math
from collections.abc import Callable

CONFIDENCE = 0.95
_TINY = 1e-300


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact two-sided interval of a binomial proportion.

    Args:
        successes: number of successes, ``0 ≤ successes ≤ trials``.
        trials: number of trials; 0 gives ``(0.0, 1.0)``.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        Lower and upper limit of the proportion; the quantiles of Beta(k, n-k+1) and Beta(k+1, n-k).

    Raises:
        ValueError: counts or confidence are out of range.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is not a proportion")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1 (got {confidence})")
    if trials == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    # For k = 0 and k = n the quantile has a closed form: (1 - p)^n = tail and p^n = tail.
    if successes == 0:
        return 0.0, -math.expm1(math.log(tail) / trials)
    if successes == trials:
        return math.exp(math.log(tail) / trials), 1.0
    misses = trials - successes
    low = _root(lambda p: beta_cdf(p, successes, misses + 1) - tail)
    high = _root(lambda p: beta_cdf(p, successes + 1, misses) - (1.0 - tail))
    return low, high


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b), for 0 < x < 1 and a, b > 0."""
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(log_front)
    # The continued fraction converges fast on this side of the mean; the other follows by symmetry.
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _continued_fraction(x, a, b) / a
    return 1.0 - front * _continued_fraction(1.0 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Lentz's evaluation of DLMF 8.17.22."""
    c, d = 1.0, _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    d = 1.0 / d
    fraction = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            fraction *= d * c
        if abs(d * c - 1.0) < 1e-16:
            break
    return fraction


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _root(rising: Callable[[float], float]) -> float:
    """Bisect a rising function on (0, 1) down to neighbouring floats."""
    low, high = 0.0, 1.0
    while True:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            return middle
        if rising(middle) < 0.0:
            low = middle
        else:
            high = middle
