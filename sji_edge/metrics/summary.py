"""Summarize one split with the figures that a card or a report holds."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.verdict import Thresholds, decide
from sji_edge.metrics.ranking import auroc, average_precision, false_call_rate_at_escape
from sji_edge.metrics.rates import defect_rates


class ScoredSplit(NamedTuple):
    """Scores 1 − p(good), float64 ``(n,)``, whether each joint is defective, bool ``(n,)``, and the guard's novelty."""

    scores: NDArray[np.float64]
    is_defect: NDArray[np.bool_]
    novelty: NDArray[np.float32] | None = None


def summary(split: ScoredSplit, thresholds: Thresholds) -> dict[str, Any]:
    """Return ranking figures, and verdict figures at the thresholds; None where a denominator is 0.

    Args:
        split: the joints of one split.
        thresholds: the PASS and FAIL limits, and the guard's.

    Returns:
        Figures by name, ready for JSON: ranking figures, and all of ``DefectRates.as_dict``.
    """
    scores, is_defect, novelty = split
    rates = defect_rates(decide(scores, thresholds, novelty), is_defect)
    return {
        "joints": int(scores.size),
        "average_precision": average_precision(scores, is_defect),
        "auroc": auroc(scores, is_defect),
        "false_call_rate_at_zero_escape": false_call_rate_at_escape(scores, is_defect, 0.0),
        **rates.as_dict(),
    }
