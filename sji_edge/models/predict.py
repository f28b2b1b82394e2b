"""Compute a model's logits for crops in memory."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def logits_of(model: nn.Module, crops: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float32]:
    """Return the logits of crops with PyTorch, in evaluation mode, in float32, on the model's device.

    Args:
        model: a ``JointClassifier``.
        crops: uint8 ``(n, height, width, channels)``.
        batch: crops per forward pass.

    Returns:
        float32 ``(n, classes)``.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    with torch.inference_mode():
        parts = [
            model(torch.from_numpy(crops[start : start + batch]).to(device)).float().cpu().numpy()
            for start in range(0, len(crops), batch)
        ]
    model.train(training)
    logits: NDArray[np.float32] = np.concatenate(parts)
    return logits


def answers_of(
    guarded: nn.Module, crops: NDArray[np.uint8], batch: int = 64
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Judge crops with PyTorch as ``logits_of`` does, with a guard.

    Args:
        guarded: a ``GuardedClassifier``, in evaluation mode.
        crops: uint8 ``(n, height, width, channels)``.
        batch: crops at once.

    Returns:
        Logits float32 ``(n, classes)`` and novelty float32 ``(n,)``; the features are not kept.
    """
    with torch.inference_mode():
        parts = [
            guarded(torch.from_numpy(crops[start : start + batch])) for start in range(0, len(crops), batch)
        ]
    logits = np.concatenate([part[0].float().numpy() for part in parts])
    return logits, np.concatenate([part[1].float().numpy() for part in parts])
