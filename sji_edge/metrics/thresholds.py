"""Choose the PASS and FAIL limits on scores."""

import math

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError
from sji_edge.core.verdict import Thresholds, logit

SOFTNESS = 0.3
"""Scale, in logits, of the disturbance of scores that limits should tolerate."""

REVIEW_SHARE = 0.005
"""Share of the good joints that may be reviewed to catch defects unlike those seen."""

REVIEWED_DEFECTS = 0.05
"""Share of the known defects that may be REVIEW instead of FAIL, so that FAIL starts where defects are known to lie."""

FALSE_CALLS = 0.001
"""Share of the good joints that may lie at or above the FAIL limit."""

LEAST_REVIEW = 1.0
"""Least width of the REVIEW band, in logits: with less, two runs of the same joint may differ by PASS and FAIL."""

GUARD = 0.99
GUARD_REACH = 1.5
GUARD_CROPS = 30
"""Minimum number of crops within ``GUARD_REACH`` logits of the limit; with fewer, all crops are used."""

MAX_GUARDED = 0.0025
"""Share of the crops that the guard band may move from PASS to REVIEW: half of what the gate allows. The band is
always wide enough for the crops that were seen."""

NOVELTY_REACH = 0.5
"""Crops whose novelty is within this share of the guard's limit count as near it."""

MAX_LIMITS = 512
_EDGE = 1e-9

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]


def thresholds_for_escape(scores: Scores, is_defect: Truth, max_escape: float) -> Thresholds:
    """Choose thresholds that let at most ``max_escape`` of the defects pass, however many reviews that costs.

    ``lower`` lies half way between the first defect that may not pass and the next lower score, and no higher than
    just above all but ``REVIEW_SHARE`` of the good joints. ``upper`` is that of ``fail_limit``.

    Args:
        scores: 1 − p(good), ``(n,)``.
        is_defect: bool ``(n,)``.
        max_escape: largest share of the defects that may pass, in [0, 1).

    Raises:
        DataError: there are no defects or no good joints.
    """
    check_both(is_defect)
    defects = np.sort(scores[is_defect])
    lower = _midpoint_below(scores, float(defects[whole(max_escape, defects.size)]))
    fewest = float(np.quantile(scores[~is_defect], 1.0 - REVIEW_SHARE, method="higher"))
    lower = min(lower, best_f1_limit(scores, is_defect), _midpoint_above(scores, fewest))
    return Thresholds(lower=lower, upper=fail_limit(scores, is_defect, lower))


def fail_limit(scores: Scores, is_defect: Truth, lower: float) -> float:
    """Return the FAIL limit that goes with a PASS limit.

    It is the highest of three: just below all but ``REVIEWED_DEFECTS`` of the defects, just above all but
    ``FALSE_CALLS`` of the good joints, and ``LEAST_REVIEW`` logits above ``lower``. The scores between the highest
    good joints and the lowest defects, where nobody knows which are more frequent, are REVIEW.

    Args:
        scores: 1 − p(good), ``(n,)``, with at least one good joint and one defect.
        is_defect: bool ``(n,)``.
        lower: the PASS limit.
    """
    goods, defects = scores[~is_defect], scores[is_defect]
    known = -limit_above(-logit(defects), whole(REVIEWED_DEFECTS, defects.size), SOFTNESS)
    rare = limit_above(logit(goods), whole(FALSE_CALLS, goods.size), SOFTNESS)
    highest = max(known, rare, float(logit(lower)) + LEAST_REVIEW)
    return max(0.5 * (1.0 + math.tanh(highest / 2)), lower)


def best_f1_limit(scores: Scores, is_defect: Truth) -> float:
    """Return the limit with the best expected F1 of the defect class when scores are disturbed.

    The disturbance is logistic noise of ``SOFTNESS`` logits, which keeps the limit away from dense scores. It lies half
    way between two scores, in logits.

    Raises:
        DataError: there are no defects or no good joints.
    """
    check_both(is_defect)
    places = logit(scores)
    levels = np.unique(places)
    limits = np.concatenate([[levels[0] - 1.0], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1.0]])
    if limits.size > MAX_LIMITS:
        limits = limits[np.linspace(0, limits.size - 1, MAX_LIMITS).astype(np.int64)]
    chance = _expit((places[None, :] - limits[:, None]) / SOFTNESS)
    hits, calls = chance[:, is_defect].sum(axis=1), chance.sum(axis=1)
    f1 = 2 * hits / (calls + int(is_defect.sum()))
    return float(np.clip(_expit(limits[int(np.argmax(f1))]), _EDGE, 1.0))


def limit_above(values: NDArray[np.float64], stopped: int, reach: float) -> float:
    """Return a limit that at most ``stopped`` of the values reach.

    It lies half way to the next higher value, but no further than ``reach`` above the highest value below it.

    Args:
        values: ``(n,)``, at least one.
        stopped: how many values may lie at or above the limit; with all of them, the limit is the lowest value.
        reach: largest distance, at least 0.
    """
    ranked = np.sort(values)
    if stopped >= ranked.size:
        return float(ranked[0])
    below = ranked[-1 - stopped]
    above = ranked[ranked > below]
    middle = (below + above[0]) / 2 if above.size else np.inf
    return float(max(min(middle, below + reach), np.nextafter(below, np.inf)))


def whole(share: float, joints: int) -> int:
    """Return how many joints a share of them is, rounded down; 5e-7 absorbs the rounding of the product."""
    return int(np.floor(share * joints + 5e-7))


def check_both(is_defect: Truth) -> None:
    """Raise ``DataError`` unless there are good and defective joints."""
    if not is_defect.any() or is_defect.all():
        raise DataError(
            f"thresholds need good and defective joints; found {int((~is_defect).sum())} good "
            f"and {int(is_defect.sum())} defective"
        )


def match_thresholds(
    reference: Scores, scores: Scores, is_defect: Truth, thresholds: Thresholds
) -> Thresholds:
    """Adapt thresholds to an engine's own scores.

    ``lower`` is reduced by a guard band: the ``GUARD`` quantile of how far the engine's scores near it fall short of
    the reference's, limited by ``MAX_GUARDED``. It always ends up below every crop that the reference did not pass:
    the engine must not cause an escape. The price is a few more REVIEW verdicts, which the gate counts as flips.
    ``upper`` is moved only if that brings the engine's FAIL verdicts, and their F1, closer to the reference's. The
    guard's limit is a matter of ``match_novelty``, and not in the result.

    Args:
        reference: the reference's scores, ``(n,)``, finite.
        scores: the engine's scores of the same crops, ``(n,)``, finite.
        is_defect: the truth, bool ``(n,)``; False where it is unknown.
        thresholds: the reference's thresholds.
    """
    lower = float(_expit(logit(np.float64(thresholds.lower)) - _guard(reference, scores, thresholds.lower)))
    lower = min(max(lower, _affordable(scores[reference < thresholds.lower], scores.size)), thresholds.lower)
    held = scores[reference >= thresholds.lower]
    if held.size and held.min() < lower:
        lower = _midpoint_below(scores, float(held.min()))
    lower = max(lower, _EDGE)
    failed = reference >= thresholds.upper
    aim = _f1(failed, is_defect)

    def distance(limit: float) -> tuple[float, float]:
        called = scores >= limit
        change = float((called != failed).mean()) + abs(_f1(called, is_defect) - aim)
        return change, abs(limit - thresholds.upper)

    # Only a limit among the scores on the wrong side can be better.
    astray = scores[(scores >= thresholds.upper) != failed]
    between = np.unique(scores[(scores >= min(astray, default=1.0)) & (scores <= max(astray, default=0.0))])
    limits = [thresholds.upper, *(_midpoint_below(scores, float(score)) for score in between[:MAX_LIMITS])]
    if between.size:
        limits.append(_midpoint_above(scores, float(between[-1])))
    return Thresholds(lower=lower, upper=max(lower, min(limits, key=distance)))


def match_novelty(
    reference: NDArray[np.floating], novelty: NDArray[np.floating], passes: Truth, limit: float
) -> float:
    """Adapt the guard's limit to an engine's own novelty; the result is never above ``limit``.

    The limit is reduced by a guard band as the PASS limit is: the ``GUARD`` quantile of how far the engine's novelty
    near it falls short of the reference's, limited by ``MAX_GUARDED``. It always ends at or below the novelty of every
    crop that the reference's guard stopped and that the engine's scores would pass.

    Args:
        reference: the reference's novelty, ``(n,)``, finite.
        novelty: the engine's novelty of the same crops, ``(n,)``, finite.
        passes: bool ``(n,)``: the engine's score says PASS.
        limit: the reference's limit, above 0.
    """
    wanted, own = reference.astype(np.float64), novelty.astype(np.float64)
    shortfall = np.maximum(wanted - own, 0.0)
    near = np.abs(wanted - limit) < NOVELTY_REACH * limit
    chosen = shortfall[near] if near.sum() >= GUARD_CROPS else shortfall
    band = float(np.quantile(chosen, GUARD, method="higher"))
    matched = limit - band
    passed = np.sort(own[passes & (wanted < limit)])
    budget = int(MAX_GUARDED * own.size)
    if passed.size > budget:
        # The next novelty above the last crop that may keep its PASS.
        matched = max(matched, float(np.nextafter(passed[-1 - budget], np.inf)))
    matched = min(matched, limit)
    stopped = own[passes & (wanted >= limit)]
    if stopped.size:
        matched = min(matched, float(stopped.min()))
    return max(matched, _EDGE)


def _affordable(passed: Scores, crops: int) -> float:
    """Return the lowest limit that sends no more than ``MAX_GUARDED`` of all crops from PASS to REVIEW."""
    budget = int(MAX_GUARDED * crops)
    ranked = np.sort(passed)[::-1]
    return _midpoint_above(passed, float(ranked[budget])) if ranked.size > budget else 0.0


def _guard(reference: Scores, scores: Scores, limit: float) -> float:
    """Return how far, in logits, the engine's scores fall short of the reference's around a limit."""
    shortfall = np.maximum(logit(reference) - logit(scores), 0.0)
    near = np.abs(logit(reference) - logit(np.float64(limit))) < GUARD_REACH
    return float(
        np.quantile(shortfall[near] if near.sum() >= GUARD_CROPS else shortfall, GUARD, method="higher")
    )


def _f1(called: Truth, is_defect: Truth) -> float:
    total = int(called.sum()) + int(is_defect.sum())
    return 2 * int((called & is_defect).sum()) / total if total else 0.0


def _expit(places: Scores) -> Scores:
    return 0.5 * (1.0 + np.tanh(places / 2))


def _midpoint_below(scores: Scores, limit: float) -> float:
    """Return the middle between ``limit`` and the next lower score, or 0 if there is none."""
    below = scores[scores < limit]
    middle = (limit + (float(below.max()) if below.size else 0.0)) / 2
    # Between neighbouring floats the middle may equal the lower score.
    return middle if middle > 0.0 and (not below.size or middle > below.max()) else max(limit, _EDGE)


def _midpoint_above(scores: Scores, limit: float) -> float:
    """Return the middle between ``limit`` and the next higher score, or 1 if there is none."""
    above = scores[scores > limit]
    return max((limit + (float(above.min()) if above.size else 1.0)) / 2, _EDGE)
