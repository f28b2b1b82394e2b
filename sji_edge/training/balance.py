"""Rare classes: weights in the loss, and a sampler that draws every class alike."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import WeightedRandomSampler

from sji_edge.core.errors import UsageError


def class_weights(text: str, labels: NDArray[np.int64], classes: tuple[str, ...]) -> torch.Tensor | None:
    """Return the weight of each class in the loss.

    Args:
        text: ``none``; ``balanced``, n / (K n_c), so that all classes weigh alike in total; or one positive
            number a class, separated by commas, in the order of ``classes``.
        labels: of the training split, int64 ``(n,)``.
        classes: their names.

    Returns:
        float32 ``(classes,)``, or None for ``none``.

    Raises:
        UsageError: anything else.
    """
    if text == "none":
        return None
    if text == "balanced":
        counts = np.bincount(labels, minlength=len(classes))
        return torch.tensor(len(labels) / (len(classes) * counts), dtype=torch.float32)
    try:
        weights = [float(word) for word in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != len(classes) or not all(0.0 < weight < float("inf") for weight in weights):
        raise UsageError(
            f"--class-weights {text!r} is not none, balanced or {len(classes)} positive numbers",
            hint=f"one for each of {', '.join(classes)}, in this order: --class-weights 1,8",
        )
    return torch.tensor(weights)


def balanced_sampler(labels: NDArray[np.int64]) -> WeightedRandomSampler:
    """Draw as many joints as there are, with replacement, every class equally often in expectation.

    Randomness comes from PyTorch's generator, so that ``seed_everything`` governs it.
    """
    counts = np.bincount(labels)
    weights = 1.0 / counts[labels]
    return WeightedRandomSampler([float(weight) for weight in weights], num_samples=len(labels))
