"""Compute the number of defects that a claim about the escape rate needs."""

import math

from sji_edge.metrics.intervals import CONFIDENCE


def defects_needed(escape_rate: float, confidence: float = CONFIDENCE) -> int:
    """Return the smallest number of defects that, if all are caught, proves an escape rate of at most this.

    With n defects and no miss the one-sided limit is 1 − (1 − confidence)^(1/n), about 3/n at 95 %: the "rule of
    three" (Hanley and Lippman-Hand, JAMA 249, 1983).

    Args:
        escape_rate: the claimed limit, in (0, 1).
        confidence: of the claim, in (0, 1).

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0.0 < escape_rate < 1.0 or not 0.0 < confidence < 1.0:
        raise ValueError(
            f"escape rate and confidence must be between 0 and 1 (got {escape_rate} and {confidence})"
        )
    return math.ceil(math.log1p(-confidence) / math.log1p(-escape_rate))
