"""Measure how well scores rank defects above good joints, without a threshold; NumPy only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]
Truth = NDArray[np.bool_]


def average_precision(scores: Scores, is_defect: Truth) -> float | None:
    """Return the area under the precision-recall curve, as a step sum over the distinct scores.

    Args:
        scores: ``(n,)``, high for a defect; equal scores share one threshold.
        is_defect: bool ``(n,)``.

    Returns:
        In (0, 1]; None without a defect.

    Raises:
        ValueError: the lengths differ, labels are not bool, or a score is not finite.
    """
    caught, called = _curve(scores, is_defect)
    if not caught.size or caught[-1] == 0:
        return None
    gained = np.diff(caught, prepend=0)
    return float((gained * caught / called).sum() / caught[-1])


def auroc(scores: Scores, is_defect: Truth) -> float | None:
    """Return the probability that a defect scores above a good joint; ties count half (Mann-Whitney).

    Returns:
        In [0, 1]; None without a defect or without a good joint.

    Raises:
        ValueError: as ``average_precision``.
    """
    caught, called = _curve(scores, is_defect)
    if not caught.size or caught[-1] in (0, called[-1]):
        return None
    hits = np.concatenate([[0], caught]).astype(np.float64)
    false = np.concatenate([[0], called - caught]).astype(np.float64)
    area = (np.diff(false) * (hits[1:] + hits[:-1]) / 2.0).sum()
    return float(area / (hits[-1] * false[-1]))


def false_call_rate_at_escape(scores: Scores, is_defect: Truth, max_escape: float) -> float | None:
    """Return the lowest false-call rate of any threshold whose escape rate is at most ``max_escape``.

    A joint at or above the threshold is called; the candidate thresholds are the scores.

    Returns:
        In [0, 1]; None without a defect or without a good joint.

    Raises:
        ValueError: as ``average_precision``, or ``max_escape`` outside [0, 1].
    """
    if not 0.0 <= max_escape <= 1.0:
        raise ValueError(f"the escape rate must be between 0 and 1 (got {max_escape})")
    caught, called = _curve(scores, is_defect)
    if not caught.size or caught[-1] in (0, called[-1]):
        return None
    defects, goods = int(caught[-1]), int(called[-1] - caught[-1])
    if max_escape == 1.0:
        return 0.0
    # 5e-7 absorbs the rounding of max_escape * defects; it never allows a whole escape.
    allowed = int(np.floor(max_escape * defects + 5e-7))
    enough = np.flatnonzero(defects - caught <= allowed)[0]
    return float((called - caught)[enough] / goods)


def _curve(scores: Scores, is_defect: Truth) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cumulative counts of called defects and called joints, from the highest distinct score down."""
    if scores.shape != is_defect.shape or scores.ndim != 1:
        raise ValueError(f"{scores.shape} scores do not match {is_defect.shape} labels")
    if is_defect.dtype != np.bool_:
        raise ValueError(f"labels must be bool (got {is_defect.dtype})")
    if not np.isfinite(scores).all():
        raise ValueError("a score that is not finite cannot be ranked")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_tie = (
        np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if ranked.size else np.empty(0, int)
    )
    caught = np.cumsum(is_defect[order], dtype=np.int64)[last_of_tie]
    return caught, (last_of_tie + 1).astype(np.int64)
