"""Spend one review budget on several measures: the score, and the guard's novelty where there is one.

A joint gets PASS only if every measure of it lies below its limit. Each division of the budget among the measures gives
one set of limits; the one that lets the fewest validation defects and made-up novelties pass is kept.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.review_budget import BudgetSplit, ReviewBudget
from sji_edge.core.verdict import Thresholds, defect_scores, logit
from sji_edge.metrics.thresholds import (
    MAX_GUARDED,
    SOFTNESS,
    best_f1_limit,
    check_both,
    fail_limit,
    limit_above,
    whole,
)

SCORE, NOVELTY = "score", "novelty"

PARTS = 8
"""The budget is divided in steps of one eighth."""
MOST_FOR_SCORE = 0.25
"""With a guard, the score may spend this part of the budget at most. On whole boards, whose crops are framed otherwise
than a dataset's, the score's reviews cost several times as many good joints as on validation, and the defects that they
catch are mostly those that the guard stops as well."""

LEAST_LIMIT = 1e-3
"""Smallest limit of a measure other than the score."""

Values = NDArray[np.float64]
Measures = Mapping[str, Values]
"""Values of the same views by measure, ``(n,)`` each: the score, 1 − p(good), first, then those of the guard. Higher is
worse."""


class ChosenLimits(NamedTuple):
    """The limits, and the record of how they were chosen."""

    thresholds: Thresholds
    budget: ReviewBudget


def choose_for(
    seen: EngineOutput,
    labels: NDArray[np.int64],
    good_index: int,
    budget: float,
    *,
    views: int,
    made: EngineOutput | None = None,
) -> ChosenLimits:
    """Choose all limits from a model's answers; see ``choose_limits``.

    Args:
        seen: the answers for views of held-out joints.
        labels: class indices of these, int64 ``(n,)``.
        good_index: the class without a defect.
        budget: share of the good views, in (0, 0.5].
        views: number of views of each joint.
        made: the answers for made-up novelties; needed where the model has a guard.

    Raises:
        DataError: there are no defects or no good joints, or an answer is not a finite number.
    """
    is_good = labels == good_index
    measured = _measures(seen, good_index)
    return choose_limits(
        {name: values[is_good] for name, values in measured.items()},
        {name: values[~is_good] for name, values in measured.items()},
        budget,
        views=views,
        novelties=None if made is None else _measures(made, good_index),
    )


def choose_limits(
    good: Measures, defects: Measures, budget: float, *, views: int = 1, novelties: Measures | None = None
) -> ChosenLimits:
    """Choose all limits within one review budget.

    At most ``budget`` of the good views do not get PASS, with one exception: the PASS limit never lies above
    ``best_f1_limit``, because there a joint is as likely a defect as good. Where that costs more reviews than the
    budget, the record says what was reached. The FAIL limit is that of ``fail_limit``.

    With other measures, the score gets ``MOST_FOR_SCORE`` of the budget at most. The divisions are compared by the
    product of two shares: of the made-up novelties that pass, and of the defects that pass, as ``escape_estimate`` has
    it. So what counts is by what factor each of them falls or rises: how many novelties pass in all depends on how
    small the made-up ones are. The measures other than the score win a tie.

    Args:
        good: views of good held-out joints, at least one.
        defects: views of defective held-out joints, at least one, by the same measures.
        budget: share of the good views, in (0, 0.5].
        views: number of views of each joint.
        novelties: views of made-up novelties, by the same measures; not needed where the score is the only measure.

    Raises:
        DataError: there are no defects or no good joints.
    """
    scores = np.concatenate([good[SCORE], defects[SCORE]])
    is_defect = np.arange(scores.size) >= good[SCORE].size
    check_both(is_defect)
    highest = best_f1_limit(scores, is_defect)
    tried: list[tuple[BudgetSplit, dict[str, float]]] = []
    for shares in _divisions(tuple(good), budget):
        limits = limits_within(good, shares, highest)
        split = BudgetSplit(
            shares=shares,
            escapes=escape_estimate(good, defects, limits, views),
            novelties=None if novelties is None else float(passed(novelties, limits).mean()),
        )
        tried.append((split, limits))
    made = 0 if novelties is None else novelties[SCORE].size

    def _cost(split: BudgetSplit) -> float:
        # As for the defects, one unseen novelty that passes is added: none of them is no proof.
        return split.escapes * ((split.novelties or 0.0) * made + 1.0)

    # The smallest share for the score comes first.
    least = min(_cost(split) for split, _ in tried)
    chosen, limits = next(one for one in tried if _cost(one[0]) == least)
    lower = limits[SCORE]
    thresholds = Thresholds(
        lower=lower, upper=fail_limit(scores, is_defect, lower), novelty=limits.get(NOVELTY)
    )
    record = ReviewBudget(
        budget=budget,
        shares=chosen.shares,
        goods=good[SCORE].size,
        stopped=int((~passed(good, limits)).sum()),
        defects=defects[SCORE].size,
        escapes=int(passed(defects, limits).sum()),
        novelties=made,
        novelties_passed=0 if novelties is None else int(passed(novelties, limits).sum()),
        splits=tuple(split for split, _ in tried),
    )
    return ChosenLimits(thresholds, record)


def limits_within(good: Measures, shares: Mapping[str, float], highest: float = 1.0) -> dict[str, float]:
    """Return one limit for each measure, so that each stops at most its share of the good views.

    The measures spend in their order; the score spends less where its limit would lie among dense scores. A view that
    an earlier measure stopped costs a later one nothing; what an earlier one could not spend, or spent too much, is
    added to or taken from the next one's share.

    Args:
        good: views of good joints.
        shares: share of the views that each measure may stop.
        highest: the limit on the score is not above this, whatever it costs.
    """
    count = good[SCORE].size
    left, granted, limits = np.ones(count, np.bool_), 0.0, dict[str, float]()
    for name, values in good.items():
        granted += shares[name]
        allowed = max(0, whole(granted, count) - int((~left).sum()))
        if not left.any():
            limits[name] = LEAST_LIMIT
        elif name == SCORE:
            limits[name] = min(_sparse_limit(values, allowed), highest)
        else:
            limits[name] = max(limit_above(values[left], allowed, 0.0), LEAST_LIMIT)
        left &= values < limits[name]
    return limits


def _sparse_limit(scores: Values, allowed: int) -> float:
    """Return the lowest limit that at most ``allowed`` scores reach and that few scores crowd from below.

    An engine's scores are off by a few tenths of a logit, and ``match_thresholds`` moves its limit down by as much, so
    that scores within ``SOFTNESS`` below the limit may change from PASS to REVIEW. They may be ``MAX_GUARDED`` of all,
    or one. Where no limit is like that, the least crowded one is taken.
    """
    places, few = logit(scores), max(1, whole(MAX_GUARDED, scores.size))
    crowds: list[tuple[int, float]] = []
    for stopped in range(min(allowed, scores.size - 1), -1, -1):
        limit = limit_above(places, stopped, SOFTNESS)
        crowds.append((int(((places >= limit - SOFTNESS) & (places < limit)).sum()), limit))
        if crowds[-1][0] <= few:
            break
    limit = min(crowds)[1]
    # The logit of a saturated score is clipped, but the limit must be above the score itself.
    below = scores[places < limit].max()
    return min(max(0.5 * (1.0 + math.tanh(limit / 2)), float(np.nextafter(below, np.inf))), 1.0)


def passed(views: Measures, limits: Mapping[str, float]) -> NDArray[np.bool_]:
    """Return which views every measure lets pass, bool ``(n,)``."""
    below: NDArray[np.bool_] = np.logical_and.reduce([views[name] < limit for name, limit in limits.items()])
    return below


def escape_estimate(good: Measures, defects: Measures, limits: Mapping[str, float], views: int) -> float:
    """Estimate the share of defects that pass, from few defects and none near the limit.

    Among *n* + 1 joints each is equally likely to have the lowest score, so the next defect lies below all *n* known
    ones with probability 1 / (*n* + 1). Where it lies is unknown: every place between the median good joint and the
    lowest known defect, in logits, counts as equally likely. So a lower PASS limit is worth something even where all
    known defects are caught.

    Args:
        good: views of good joints.
        defects: views of defects.
        limits: the limit of each measure.
        views: number of views of each joint, which count as one defect.
    """
    joints = defects[SCORE].size / views
    usual, lowest = float(np.median(logit(good[SCORE]))), float(logit(defects[SCORE]).min())
    place = float(logit(limits[SCORE]))
    unseen = np.clip((place - usual) / (lowest - usual), 0.0, 1.0) if lowest > usual else 1.0
    return float((joints * passed(defects, limits).mean() + unseen) / (joints + 1))


def _measures(output: EngineOutput, good_index: int) -> dict[str, Values]:
    measured = {SCORE: defect_scores(output.logits, good_index)}
    if output.novelty is not None:
        measured[NOVELTY] = output.novelty.astype(np.float64)
    for name, values in measured.items():
        if not np.isfinite(values).all():
            raise DataError(f"no limits can be chosen: a {name} of the model is not a finite number")
    return measured


def _divisions(measures: tuple[str, ...], budget: float) -> Iterator[dict[str, float]]:
    """Yield the divisions of the budget into ``PARTS`` equal parts that leave enough for the other measures."""

    def parts(names: int, left: int) -> Iterator[tuple[int, ...]]:
        if names == 1:
            yield (left,)
            return
        for first in range(left + 1):
            yield from ((first, *rest) for rest in parts(names - 1, left - first))

    most = PARTS if len(measures) == 1 else MOST_FOR_SCORE * PARTS
    for division in parts(len(measures), PARTS):
        if division[measures.index(SCORE)] > most:
            continue
        yield {name: budget * part / PARTS for name, part in zip(measures, division, strict=True)}
