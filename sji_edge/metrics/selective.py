"""Measure the errors that remain when the least confident answers are left to a person; NumPy only.

Source: Geifman and El-Yaniv, NeurIPS 2017, "Selective Classification for Deep Neural Networks".
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def risk_coverage(confidence: Floats, correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of wrong answers among the k most confident joints, for k = 1 … n, float64 ``(n,)``.

    Errors are spread evenly over joints of equal confidence, which is the average over all their orders.

    Raises:
        ValueError: the lengths differ, or a confidence is not finite.
    """
    if confidence.shape != correct.shape or confidence.ndim != 1:
        raise ValueError(f"{confidence.shape} confidences do not match {correct.shape} answers")
    if not np.isfinite(confidence).all():
        raise ValueError("a confidence that is not finite cannot be ranked")
    _, tie, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    if not size.size:
        return np.empty(0)
    wrong = np.bincount(tie, ~correct, size.size) / size
    return np.cumsum(np.repeat(wrong, size)) / np.arange(1, confidence.size + 1)


def aurc(confidence: Floats, correct: NDArray[np.bool_]) -> float | None:
    """Return the area under the risk-coverage curve (its mean over k); None without joints. 0 is best.

    Raises:
        ValueError: as ``risk_coverage``.
    """
    risks = risk_coverage(confidence, correct)
    return float(risks.mean()) if risks.size else None
