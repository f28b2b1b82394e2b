"""Turns logits into scores, and scores into one of the four verdicts by thresholds."""

from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sji_edge.core.frozen import FrozenModel


class Verdict(StrEnum):
    """The verdict on a joint or a board."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    REVIEW = "REVIEW"
    FAIL = "FAIL"
    ERROR = "ERROR"


VERDICTS = (Verdict.PASS, Verdict.REVIEW, Verdict.FAIL, Verdict.ERROR)
"""The verdict of each code that ``decide`` returns, in order of severity."""

PASS, REVIEW, FAIL, ERROR = range(4)


class Thresholds(FrozenModel):
    """PASS below ``lower``, FAIL at or above ``upper``, REVIEW in between; no REVIEW where both are equal.

    ``novelty`` is the guard's limit: a PASS at or above it becomes REVIEW. None where there is no guard.
    """

    lower: float = Field(gt=0.0, le=1.0)
    upper: float = Field(gt=0.0, le=1.0)
    novelty: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)

    @property
    def without_guard(self) -> "Thresholds":
        """The same limits without the guard's: what the score alone decides."""
        return self.model_copy(update={"novelty": None})

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(
                f"the lower threshold must not be above the upper one (got {self.lower} and {self.upper})"
            )
        return self


_EDGE = 1e-9
"""Scores are clipped to this distance from 0 and 1 before their logit is computed."""


def logit(scores: NDArray[np.float64] | np.float64 | float) -> NDArray[np.float64]:
    """Return ``log(score / (1 - score))`` in the same shape, with scores clipped to [1e-9, 1 - 1e-9]."""
    inside = np.clip(scores, _EDGE, 1.0 - _EDGE)
    places: NDArray[np.float64] = np.log(inside) - np.log1p(-inside)
    return places


def defect_scores(logits: NDArray[np.float32], good_index: int) -> NDArray[np.float64]:
    """Compute the score of each joint, 1 − p(good); the positive class is *defect*.

    Args:
        logits: float32, ``(n, classes)``.
        good_index: column of the good class.

    Returns:
        float64 ``(n,)`` in [0, 1]; NaN where a logit is not finite. Computed as the sum of the other classes'
        probabilities, which keeps its precision near 0.
    """
    wide = logits.astype(np.float64)
    finite = np.isfinite(wide).all(axis=1)
    wide[~finite] = 0.0
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    total = exponentials.sum(axis=1)
    exponentials[:, good_index] = 0.0
    scores: NDArray[np.float64] = exponentials.sum(axis=1) / total
    scores[~finite] = np.nan
    return scores


def decide(
    scores: NDArray[np.float64],
    thresholds: Thresholds,
    novelty: NDArray[np.floating] | None = None,
) -> NDArray[np.int8]:
    """Turn scores into verdict codes, which are indices into ``VERDICTS``.

    The guard only turns PASS into REVIEW: it never makes a PASS, and never changes a FAIL.

    Args:
        scores: float64 ``(n,)``; a score that is not finite gives ERROR.
        thresholds: the PASS and FAIL limits, and the guard's.
        novelty: float ``(n,)``, needed where ``thresholds`` has a limit for it, otherwise not used; a PASS whose
            novelty is not finite becomes ERROR.

    Returns:
        int8 ``(n,)``.

    Raises:
        ValueError: there is a limit for the novelty, but no novelty, or not one for each score.
    """
    limit = None if thresholds.novelty is None else np.float64(thresholds.novelty)
    return decide_each(scores, np.float64(thresholds.lower), np.float64(thresholds.upper), novelty, limit)


def decide_each(
    scores: NDArray[np.float64],
    lower: NDArray[np.float64] | np.float64,
    upper: NDArray[np.float64] | np.float64,
    novelty: NDArray[np.floating] | None = None,
    novelty_limit: NDArray[np.float64] | np.float64 | None = None,
) -> NDArray[np.int8]:
    """Like ``decide``, with thresholds for each joint (arrays of ``(n,)``, or scalars)."""
    codes = np.full(scores.shape, ERROR, dtype=np.int8)
    codes[scores < lower] = PASS
    codes[scores >= lower] = REVIEW
    codes[scores >= upper] = FAIL
    codes[~np.isfinite(scores)] = ERROR
    if novelty_limit is not None:
        if novelty is None or novelty.shape != scores.shape:
            found = "none" if novelty is None else str(novelty.shape)
            raise ValueError(
                f"the guard has a limit, so each score needs a novelty (got {found} for {scores.shape})"
            )
        passes = codes == PASS
        codes[passes & ~(novelty < novelty_limit)] = REVIEW
        codes[passes & ~np.isfinite(novelty)] = ERROR
    return codes


def hold_back(
    codes: NDArray[np.int8], deviation: NDArray[np.floating], limit: float = 1.0
) -> NDArray[np.bool_]:
    """Turn PASS into REVIEW, in place, where a joint deviates too far from its own place; return where, bool ``(n,)``.

    Like the guard it never makes a PASS and never changes a FAIL. A PASS whose deviation is not finite becomes ERROR.

    Args:
        codes: verdict codes, int8 ``(n,)``, as of ``decide_each``.
        deviation: how far each joint is from its place, float ``(n,)``.
        limit: the smallest deviation that is too far.
    """
    passes = codes == PASS
    codes[passes & ~np.isfinite(deviation)] = ERROR
    held: NDArray[np.bool_] = passes & (deviation >= limit)
    codes[held] = REVIEW
    return held


def stopped_by_guard(
    codes: NDArray[np.int8], scores: NDArray[np.float64], lower: NDArray[np.float64] | np.float64
) -> NDArray[np.bool_]:
    """Return which joints are REVIEW although their score says PASS, bool ``(n,)``: the guard stopped these.

    Args:
        codes: what ``decide_each`` returned.
        scores: the scores that it was given.
        lower: the PASS limits that it was given.
    """
    stopped: NDArray[np.bool_] = (codes == REVIEW) & (scores < lower)
    return stopped


def worst(codes: NDArray[np.int8]) -> Verdict:
    """Return the verdict of a board: that of its most severe joint, or ERROR for a board without joints."""
    return VERDICTS[int(codes.max())] if codes.size else Verdict.ERROR
