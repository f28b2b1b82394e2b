"""Chooses thresholds for a target escape rate or a review budget, and explains in words what they mean."""

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import UsageError
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.review_budget import ReviewBudget
from sji_edge.core.shares import parse_share
from sji_edge.core.verdict import Thresholds, decide
from sji_edge.metrics.rates import DefectRates, defect_rates
from sji_edge.metrics.sample_size import defects_needed
from sji_edge.metrics.thresholds import thresholds_for_escape

SMALLEST_RATE = 1e-9
"""No line sees enough joints to prove a lower rate."""

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]


class OperatingPoint(FrozenModel):
    """Limits chosen on a validation split, for an escape rate or for a review budget.

    Attributes:
        max_escape: the target: largest share of the defects that may pass; None where a budget was given.
        review_budget: the budget and how it was divided; None where an escape rate was given.
        thresholds: the chosen limits.
        validation: counts and rates of the validation split at these limits.
        words: what the limits mean, as sentences.
    """

    max_escape: float | None
    review_budget: ReviewBudget | None = None
    thresholds: Thresholds
    validation: dict[str, object]
    words: tuple[str, ...]


def parse_rate(text: str) -> float:
    """Parse ``0.5%``, ``0.5 %`` or ``0.005`` as a share.

    Raises:
        UsageError: the text is no number, or neither 0 nor in [``SMALLEST_RATE``, 1).
    """
    value = parse_share(text)
    if value is None or (value != 0.0 and not SMALLEST_RATE <= value < 1.0):
        raise UsageError(f"an escape rate must be 0 or a share such as 0.5% or 0.005 (got {text!r})")
    return value


def solve_operating_point(
    scores: Scores,
    is_defect: Truth,
    max_escape: float,
    novelty: NDArray[np.float32] | None = None,
    novelty_limit: float | None = None,
) -> OperatingPoint:
    """Choose limits on validation scores so that at most ``max_escape`` of the defects pass.

    The guard's limit stays as it is.

    Args:
        scores: 1 − p(good), float64 ``(n,)``.
        is_defect: whether each joint really is defective, bool ``(n,)``.
        max_escape: largest share of the defects that may pass: 0, or from ``SMALLEST_RATE`` to below 1.
        novelty: of the same joints, where the model has a guard.
        novelty_limit: the guard's limit.

    Raises:
        DataError: the split holds no defect, or no good joint.
    """
    chosen = thresholds_for_escape(scores, is_defect, max_escape)
    thresholds = chosen.model_copy(update={"novelty": novelty_limit})
    rates = defect_rates(decide(scores, thresholds, novelty), is_defect)
    words = (*_counts(thresholds, rates), _proof(rates, max_escape))
    return OperatingPoint(
        max_escape=max_escape, thresholds=thresholds, validation=rates.as_dict(), words=words
    )


def budget_point(
    thresholds: Thresholds,
    budget: ReviewBudget,
    scores: Scores,
    is_defect: Truth,
    novelty: NDArray[np.float32] | None = None,
) -> OperatingPoint:
    """Describe limits that were chosen for a review budget.

    Args:
        thresholds: the limits.
        budget: how they were chosen.
        scores: of the validation joints, one plain view each, float64 ``(n,)``.
        is_defect: whether each joint really is defective, bool ``(n,)``.
        novelty: of the same joints, where the model has a guard.
    """
    rates = defect_rates(decide(scores, thresholds, novelty), is_defect)
    return OperatingPoint(
        max_escape=None,
        review_budget=budget,
        thresholds=thresholds,
        validation=rates.as_dict(),
        words=(*_counts(thresholds, rates), *budget.words),
    )


def _counts(thresholds: Thresholds, rates: DefectRates) -> list[str]:
    at_most = rates.escape_interval[1]
    words = [
        f"A joint passes below {thresholds.lower:.4f} and fails from {thresholds.upper:.4f}; between the two, a "
        "person decides.",
        f"On the validation split, {rates.escapes} of {rates.defects} defects pass: an escape rate of "
        f"{rates.escapes / rates.defects:.1%}, upper limit {at_most:.1%} at 95 % confidence.",
        f"Of its {rates.goods} good joints, FAIL is given to {rates.false_calls} and REVIEW to {rates.good_reviews}.",
    ]
    if thresholds.novelty is not None:
        words.insert(
            1, f"A joint whose novelty is {thresholds.novelty:.3f} or more does not pass: the guard stops it."
        )
    return words


def _proof(rates: DefectRates, max_escape: float) -> str:
    if max_escape > 0.0:
        needed = defects_needed(max_escape)
        short = (
            f" This split has only {rates.defects}, so it cannot prove it." if needed > rates.defects else ""
        )
        return (
            f"Zero escapes among n defects prove a rate of about 3/n, no better. Proving {max_escape:.2%} at 95 % "
            f"confidence takes {needed} defects without an escape.{short}"
        )
    return (
        "No number of joints proves an escape rate of zero. Zero escapes among n defects prove a rate of about "
        f"3/n, here {3 / rates.defects:.1%}."
    )
