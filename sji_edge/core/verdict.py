"""From logits to a verdict: the score, the thresholds, and the four answers."""

from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sji_edge.core.frozen import FrozenModel


class Verdict(StrEnum):
    """What is said of a joint or a board."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    REVIEW = "REVIEW"
    FAIL = "FAIL"
    ERROR = "ERROR"


VERDICTS = (Verdict.PASS, Verdict.REVIEW, Verdict.FAIL, Verdict.ERROR)
"""The verdict of each code that ``decide`` returns, in rising severity."""

PASS, REVIEW, FAIL, ERROR = range(4)


class Thresholds(FrozenModel):
    """PASS below ``lower``, FAIL from ``upper`` on, REVIEW between; equal means no REVIEW band."""

    lower: float = Field(gt=0.0, le=1.0)
    upper: float = Field(gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(f"lower threshold {self.lower} is above the upper one {self.upper}")
        return self


_EDGE = 1e-9
"""Scores are kept this far from 0 and 1 before their logit is taken."""


def logit(scores: NDArray[np.float64] | np.float64 | float) -> NDArray[np.float64]:
    """Return ``log(score / (1 - score))``, with scores kept within [1e-9, 1 - 1e-9]; the shape stays."""
    inside = np.clip(scores, _EDGE, 1.0 - _EDGE)
    places: NDArray[np.float64] = np.log(inside) - np.log1p(-inside)
    return places


def defect_scores(logits: NDArray[np.float32], good_index: int) -> NDArray[np.float64]:
    """Score each joint with 1 − p(good), the positive class being *defect*.

    Args:
        logits: float32, ``(n, classes)``.
        good_index: column of the good class.

    Returns:
        float64 ``(n,)`` in [0, 1]; NaN where a row holds a non-finite logit. Computed as the sum
        of the other classes' probabilities, so that it keeps its precision near 0.
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


def decide(scores: NDArray[np.float64], thresholds: Thresholds) -> NDArray[np.int8]:
    """Turn scores into verdict codes, indices into ``VERDICTS``.

    Args:
        scores: ``(n,)``; a score that is not finite becomes ERROR.
        thresholds: the PASS and FAIL limits.

    Returns:
        int8 ``(n,)``.
    """
    return decide_each(scores, np.float64(thresholds.lower), np.float64(thresholds.upper))


def decide_each(
    scores: NDArray[np.float64],
    lower: NDArray[np.float64] | np.float64,
    upper: NDArray[np.float64] | np.float64,
) -> NDArray[np.int8]:
    """``decide`` with a pair of thresholds for each joint (arrays of ``(n,)``, or scalars)."""
    codes = np.full(scores.shape, ERROR, dtype=np.int8)
    codes[scores < lower] = PASS
    codes[scores >= lower] = REVIEW
    codes[scores >= upper] = FAIL
    codes[~np.isfinite(scores)] = ERROR
    return codes


def worst(codes: NDArray[np.int8]) -> Verdict:
    """Return the verdict of a board: the most severe of its joints; ERROR for a board without joints."""
    return VERDICTS[int(codes.max())] if codes.size else Verdict.ERROR
