"""Compute accuracy and F1 of predicted classes; NumPy only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]


def accuracy(predicted: Labels, labels: Labels) -> float | None:
    """Return the share of joints whose predicted class is correct; None without joints.

    Args:
        predicted: class indices, ``(n,)``.
        labels: true class indices, ``(n,)``.

    Raises:
        ValueError: the lengths differ.
    """
    _check(predicted, labels)
    return float((predicted == labels).mean()) if labels.size else None


def f1(called: NDArray[np.bool_], is_defect: NDArray[np.bool_]) -> float | None:
    """Return the harmonic mean of precision and recall, 2 TP / (calls + defects); None without calls and defects.

    Raises:
        ValueError: the lengths differ.
    """
    _check(called, is_defect)
    total = int(called.sum()) + int(is_defect.sum())
    return 2 * int((called & is_defect).sum()) / total if total else None


def macro_f1(predicted: Labels, labels: Labels) -> float | None:
    """Return the mean F1 over all classes that occur in the labels or the predictions; None without joints.

    Raises:
        ValueError: the lengths differ.
    """
    _check(predicted, labels)
    scores = [f1(predicted == label, labels == label) for label in np.union1d(predicted, labels)]
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else None


def _check(answers: NDArray[Any], truth: NDArray[Any]) -> None:
    if answers.shape != truth.shape or answers.ndim != 1:
        raise ValueError(f"{answers.shape} answers do not match {truth.shape} labels")
