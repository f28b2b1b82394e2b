"""How many joints a claim needs."""

import math

from sji_edge.metrics.intervals import CONFIDENCE


def defects_needed(escape_rate: float, confidence: float = CONFIDENCE) -> int:
    """Return the fewest defects that, all of them caught, prove an escape rate no greater than this.

    With n defects and no miss the one-sided limit is 1 − (1 − confidence)^(1/n), about 3/n at 95 %: the "rule of
    three" (Hanley and Lippman-Hand, JAMA 249, 1983).

    Args:
        escape_rate: the claim, in (0, 1).
        confidence: in (0, 1).

    Raises:
        ValueError: one of them out of range.
    """
    if not 0.0 < escape_rate < 1.0 or not 0.0 < confidence < 1.0:
        raise ValueError(
            f"escape rate {escape_rate} and confidence {confidence}; both belong between 0 and 1"
        )
    return math.ceil(math.log1p(-confidence) / math.log1p(-escape_rate))
