"""Holds a model's answers on labelled joints, and computes every figure from them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.verdict import defect_scores
from sji_edge.metrics.calibration import expected_calibration_error, softmax
from sji_edge.metrics.classification import accuracy, f1, macro_f1
from sji_edge.metrics.ranking import auroc, average_precision, false_call_rate_at_escape
from sji_edge.metrics.selective import aurc

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """A model's answers on labelled joints; every array is ``(n,)``.

    Attributes:
        labels: class indices.
        is_defect: whether the label is a defect class.
        predicted: the most probable class.
        confidence: probability of that class.
        calibrated: the same after temperature scaling.
        scores: 1 − p(good).
        called: whether the score reaches ``limit``.
        temperature: the one used for ``calibrated``.
        limit: score from which a joint is called defective.
    """

    labels: NDArray[np.int64]
    is_defect: NDArray[np.bool_]
    predicted: NDArray[np.int64]
    confidence: Floats
    calibrated: Floats
    scores: Floats
    called: NDArray[np.bool_]
    temperature: float
    limit: float

    def only(self, joints: NDArray[np.int64]) -> "Judged":
        """Return the answers for some joints only, given by index; an index may repeat."""
        arrays = {name: value[joints] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return Judged(**arrays, temperature=self.temperature, limit=self.limit)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the most probable class equals the label, bool ``(n,)``."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right


FIGURES: dict[str, Callable[[Judged], float | None]] = {
    "accuracy": lambda j: accuracy(j.predicted, j.labels),
    "f1_defect": lambda j: f1(j.called, j.is_defect),
    "macro_f1": lambda j: macro_f1(j.predicted, j.labels),
    "average_precision": lambda j: average_precision(j.scores, j.is_defect),
    "auroc": lambda j: auroc(j.scores, j.is_defect),
    "ece": lambda j: expected_calibration_error(j.confidence, j.correct),
    "ece_calibrated": lambda j: expected_calibration_error(j.calibrated, j.correct),
    "aurc": lambda j: aurc(j.confidence, j.correct),
    "false_calls_at_0_escape": lambda j: false_call_rate_at_escape(j.scores, j.is_defect, 0.0),
    "false_calls_at_1_escape": lambda j: false_call_rate_at_escape(j.scores, j.is_defect, 0.01),
}
"""Every figure by name; None where its denominator is zero."""


def judge(
    logits: NDArray[np.floating],
    labels: NDArray[np.int64],
    good_index: int,
    *,
    limit: float,
    temperature: float,
) -> Judged:
    """Derive scores, confidences and calls from the logits ``(n, classes)`` of labelled joints.

    Args:
        logits: finite values, ``(n, classes)``.
        labels: class indices, int64 ``(n,)``.
        good_index: column of the good class.
        limit: score from which a joint is called defective.
        temperature: divides the logits for the calibrated confidence.
    """
    scores = defect_scores(logits.astype(np.float32), good_index)
    return Judged(
        labels=labels,
        is_defect=labels != good_index,
        predicted=logits.argmax(axis=1),
        confidence=softmax(logits).max(axis=1),
        calibrated=softmax(logits, temperature).max(axis=1),
        scores=scores,
        called=scores >= limit,
        temperature=temperature,
        limit=limit,
    )
