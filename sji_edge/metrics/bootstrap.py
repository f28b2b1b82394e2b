"""Compute intervals and a paired test by the bootstrap; NumPy only.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; whole groups are resampled where joints of
a group resemble each other (Field and Welsh, JRSS B 69, 2007).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


def resamples(groups: NDArray[Any], replicates: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield the joint indices of each replicate: whole groups, drawn with replacement, as many as there are.

    Args:
        groups: group of each joint, ``(n,)``; with one joint per group, joints are resampled.
        replicates: number of resamples.
        rng: source of randomness.

    Raises:
        ValueError: there are no joints.
    """
    if not groups.size:
        raise ValueError("there are no joints to resample")
    _, of_joint = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(of_joint == group) for group in range(int(of_joint.max()) + 1)]
    for _ in range(replicates):
        drawn = rng.integers(len(members), size=len(members))
        yield np.concatenate([members[group] for group in drawn])


def percentile_interval(
    values: NDArray[np.float64], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Return the central interval of the replicates that are not NaN; None when all are NaN.

    Args:
        values: one figure per replicate, float64 ``(replicates,)``.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ValueError: ``confidence`` is not in (0, 1).
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1 (got {confidence})")
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    low, high = np.quantile(known, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)


def paired_p_value(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Return the two-sided p-value of *no difference* between two figures measured on the same replicates.

    It is twice the smaller share of replicates in which the difference has one sign (a tie counts for both), with one
    added to numerator and denominator (Davison and Hinkley 1997), at most 1; None when no replicate has both figures.

    Raises:
        ValueError: the lengths differ.
    """
    if one.shape != other.shape:
        raise ValueError(f"{one.shape} and {other.shape} replicates are not paired")
    difference = (one - other)[~np.isnan(one - other)]
    if not difference.size:
        return None
    fewer = min(int((difference <= 0.0).sum()), int((difference >= 0.0).sum()))
    return min(1.0, 2.0 * (fewer + 1) / (difference.size + 1))
