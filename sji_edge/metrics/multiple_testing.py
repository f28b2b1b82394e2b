"""Correct p-values for the number of tests."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests with Holm's step-down procedure.

    Rejecting every hypothesis whose adjusted p-value is at most α makes any false rejection at most α likely
    (family-wise error rate). S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist.
    6, 1979.

    Args:
        p_values: in [0, 1], in any order.

    Returns:
        Adjusted p-values in [0, 1], in the same order.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, so_far = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = so_far
    return adjusted
