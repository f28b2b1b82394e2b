"""Balance rare classes: weights in the loss, or a sampler that draws every class equally often."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import WeightedRandomSampler

from sji_edge.core.errors import UsageError


def class_weights(text: str, labels: NDArray[np.int64], classes: tuple[str, ...]) -> torch.Tensor | None:
    """Return the weight of each class in the loss.

    Args:
        text: ``none``; ``balanced``, n / (K n_c), so that all classes have the same total weight; or one
            positive number per class, separated by commas, in the order of ``classes``.
        labels: class indices of the training split, int64 ``(n,)``.
        classes: names of the classes.

    Returns:
        float32 ``(classes,)``, or None for ``none``.

    Raises:
        UsageError: ``text`` is none of these.
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
            f"the class weights must be none, balanced or {len(classes)} positive numbers (got {text!r})",
            hint=f"give one number for each of {', '.join(classes)}, in this order, such as 1,8",
        )
    return torch.tensor(weights)


def balanced_sampler(labels: NDArray[np.int64]) -> WeightedRandomSampler:
    """Return a sampler that draws n joints with replacement, every class equally often on average.

    Randomness comes from PyTorch's generator, so that ``seed_everything`` governs it.
    """
    counts = np.bincount(labels)
    weights = 1.0 / counts[labels]
    return WeightedRandomSampler([float(weight) for weight in weights], num_samples=len(labels))
