"""Measure and fit the calibration of probabilities: ECE, reliability bins, temperature scaling; NumPy only.

Source: Guo, Pleiss, Sun and Weinberger, ICML 2017, "On Calibration of Modern Neural Networks".
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 15
LOWEST, HIGHEST = 1e-2, 1e2
"""Range in which a temperature is searched."""

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


class ReliabilityBins(NamedTuple):
    """For each bin of confidence: number of joints, mean confidence and accuracy; NaN in an empty bin."""

    joints: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def softmax(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the probabilities of ``logits / temperature``, float64 ``(n, classes)``."""
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def reliability_bins(confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS) -> ReliabilityBins:
    """Group joints by confidence into bins of equal width (low, high]; 0 belongs to the first bin.

    Args:
        confidence: probability of the predicted class, in [0, 1], ``(n,)``.
        correct: whether the prediction is correct, bool ``(n,)``.
        bins: number of bins.

    Raises:
        ValueError: the lengths differ, or a confidence is outside [0, 1].
    """
    if confidence.shape != correct.shape or confidence.ndim != 1:
        raise ValueError(f"{confidence.shape} confidences do not match {correct.shape} answers")
    if not ((confidence >= 0.0) & (confidence <= 1.0)).all():
        raise ValueError("a confidence is not between 0 and 1")
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    joints = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        return ReliabilityBins(
            joints,
            np.bincount(places, confidence, bins) / joints,
            np.bincount(places, correct, bins) / joints,
        )


def expected_calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], bins: int = BINS
) -> float | None:
    """Return the mean over the joints of |accuracy − confidence| of their bin; None without joints.

    Raises:
        ValueError: as ``reliability_bins``.
    """
    joints, mean, right = reliability_bins(confidence, correct, bins)
    if not joints.sum():
        return None
    filled = joints > 0
    return float((joints[filled] * np.abs(right[filled] - mean[filled])).sum() / joints.sum())


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Return the temperature with the lowest cross-entropy on held-out joints.

    The targets are Platt's (1999): (n_c + 1) / (n_c + 2) for the joint's own class, and the rest divided among the
    other classes. With targets 0 and 1, a split that the model separates would drive the temperature to 0.

    Args:
        logits: ``(n, classes)``, finite.
        labels: class indices, ``(n,)``.

    Raises:
        ValueError: there are no joints, or a logit is not finite.
    """
    if not labels.size or not np.isfinite(logits).all():
        raise ValueError("fitting a temperature needs joints with finite logits")
    z, targets = logits.astype(np.float64), platt_targets(labels, logits.shape[1])

    def slope(inverse: float) -> float:
        # Cross-entropy is convex in 1 / T, so its slope rises and bisection finds the zero.
        return float(((softmax(z, 1.0 / inverse) - targets) * z).sum())

    low, high = np.log(1.0 / HIGHEST), np.log(1.0 / LOWEST)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(float(np.exp(middle))) < 0.0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def calibrated_cross_entropy(logits: Floats, labels: Labels) -> float:
    """Return the cross-entropy in nats against Platt's targets, at the best temperature.

    It does not depend on the scale of the logits, which a regularized loss shrinks.
    """
    z = logits.astype(np.float64) / fit_temperature(logits, labels)
    top = z.max(axis=1, keepdims=True)
    log_p = z - top - np.log(np.exp(z - top).sum(axis=1, keepdims=True))
    return float(-(platt_targets(labels, logits.shape[1]) * log_p).sum(axis=1).mean())


def platt_targets(labels: Labels, classes: int) -> NDArray[np.float64]:
    """Return the targets of ``fit_temperature``, float64 ``(n, classes)``; each row sums to 1."""
    counts = np.bincount(labels, minlength=classes)
    own = ((counts + 1.0) / (counts + 2.0))[labels]
    targets = np.repeat(((1.0 - own) / (classes - 1))[:, None], classes, axis=1)
    targets[np.arange(labels.size), labels] = own
    return targets
