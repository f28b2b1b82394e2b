"""Choosing the PASS and FAIL limits on scores."""

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError
from sji_edge.core.verdict import FAIL, PASS, Thresholds

ESCAPE_WEIGHT = 2.0
"""β of the F-score that places the FAIL limit: an escape weighs β² = 4 false calls."""


def solve_thresholds(
    scores: NDArray[np.float64], is_defect: NDArray[np.bool_], max_escape: float = 0.0
) -> Thresholds:
    """Choose thresholds on held-out joints.

    ``upper`` is the limit with the best F₂ of the defect class: on a line an escape costs more than a false
    call. ``lower`` is the highest limit that lets at most ``max_escape`` of the defects pass, never above
    ``upper``: what lies between is REVIEW. Each limit is put half way between the two scores that it
    separates, so that a small change of the scores changes no verdict.

    Args:
        scores: 1 − p(good), ``(n,)``.
        is_defect: bool ``(n,)``.
        max_escape: greatest share of the defects that may pass, in [0, 1).

    Raises:
        DataError: no defect or no good joint among them.
    """
    if not is_defect.any() or is_defect.all():
        raise DataError(
            f"thresholds need good and defective joints; found {int((~is_defect).sum())} good "
            f"and {int(is_defect.sum())} defective"
        )
    upper = _midpoint_below(scores, _best_limit(scores, is_defect))
    defects = np.sort(scores[is_defect])
    allowed = int(np.floor(max_escape * defects.size))
    lower = min(upper, _midpoint_below(scores, float(defects[allowed])))
    return Thresholds(lower=lower, upper=upper)


def _best_limit(scores: NDArray[np.float64], is_defect: NDArray[np.bool_]) -> float:
    """Return the lowest score of those called defective by the limit with the best F-score."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(is_defect[order])
    called, defects, weight = np.arange(1, scores.size + 1), int(is_defect.sum()), ESCAPE_WEIGHT**2
    f_score = (1 + weight) * hits / (called + weight * defects)
    # A limit can only lie where the score changes.
    f_score[:-1][ranked[:-1] == ranked[1:]] = -1.0
    return float(ranked[int(np.argmax(f_score))])


def _midpoint_below(scores: NDArray[np.float64], limit: float) -> float:
    """Half way between ``limit`` and the next lower score; half of it when there is none."""
    below = scores[scores < limit]
    middle = (limit + (float(below.max()) if below.size else 0.0)) / 2
    # At the float's end of resolution the middle may fall on the lower score.
    return middle if middle > 0.0 and (not below.size or middle > below.max()) else limit


def match_thresholds(
    reference: NDArray[np.int8], scores: NDArray[np.float64], thresholds: Thresholds
) -> Thresholds:
    """Carry thresholds over to an engine's own scores.

    ``lower`` is kept, unless a crop that the reference did not pass would pass: then it goes down to below the
    lowest such score, because an escape may not come from the engine. ``upper`` is moved only as far as
    that saves flips between REVIEW and FAIL.

    Args:
        reference: the reference's verdict codes, int8 ``(n,)``.
        scores: the engine's scores of the same crops, ``(n,)``, finite.
        thresholds: the reference's.
    """
    lower, upper = thresholds.lower, thresholds.upper
    held = scores[reference != PASS]
    if held.size and held.min() < lower:
        lower = _midpoint_below(scores, float(held.min()))
    failed = reference == FAIL
    nearby = np.unique(scores[(scores > min(scores[failed], default=upper)) & (scores < upper)])
    nearby = np.concatenate([nearby, np.unique(scores[(scores >= upper) & ~failed])])
    limits = [upper, *(_midpoint_below(scores, float(score)) for score in nearby)]
    limits += [_midpoint_above(scores, float(score)) for score in nearby]
    flips = [(int(((scores >= limit) != failed).sum()), abs(limit - upper), limit) for limit in limits]
    return Thresholds(lower=lower, upper=max(lower, min(flips)[2]))


def _midpoint_above(scores: NDArray[np.float64], limit: float) -> float:
    """Half way between ``limit`` and the next higher score, or 1."""
    above = scores[scores > limit]
    return (limit + (float(above.min()) if above.size else 1.0)) / 2
