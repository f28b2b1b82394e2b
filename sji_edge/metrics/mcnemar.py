"""Compares two classifiers on the same joints: McNemar's exact test, and an interval of the difference."""

import math

from sji_edge.metrics.intervals import CONFIDENCE, clopper_pearson


def worse_p(only_new: int, only_old: int) -> float:
    """Return the probability of at least this many errors of the new one alone, if the two are equally good.

    McNemar's test (Psychometrika 12, 1947) in its exact, one-sided form: of the joints on which exactly one of the two
    errs, the number of those that the new one gets wrong is binomial with p = 1/2.

    Args:
        only_new: joints that only the new one gets wrong.
        only_old: joints that only the old one gets wrong.

    Returns:
        P(X ≥ only_new) in (0, 1]; 1.0 where the two err on the same joints.

    Raises:
        ValueError: a count is negative.
    """
    if only_new < 0 or only_old < 0:
        raise ValueError(f"counts must be at least 0 (got {only_new} and {only_old})")
    pairs = only_new + only_old
    tail = sum(math.comb(pairs, errors) for errors in range(only_new, pairs + 1))
    return float(tail / 2**pairs)


def rate_change(only_new: int, only_old: int, joints: int) -> tuple[float, float]:
    """Return an interval for how much the error rate changes from the old one to the new one.

    Each of the two discordant rates gets its exact interval, with half of the error probability; the interval of their
    difference then covers at least 95 %.

    Args:
        only_new: joints that only the new one gets wrong.
        only_old: joints that only the old one gets wrong.
        joints: all joints that both judged; 0 gives ``(-1.0, 1.0)``.
    """
    confidence = (1.0 + CONFIDENCE) / 2.0
    new_low, new_high = clopper_pearson(only_new, joints, confidence)
    old_low, old_high = clopper_pearson(only_old, joints, confidence)
    return new_low - old_high, new_high - old_low
