"""Where a model looks: Grad-CAM and Eigen-CAM over its last feature map.

Sources: Selvaraju et al., ICCV 2017, "Grad-CAM"; Muhammad and Yeasin, IJCNN 2020, "Eigen-CAM". The one
well-kept library for both brings a second OpenCV that overwrites ours.
"""

from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest
from sji_edge.models.features import FeatureTap

KINDS = ("grad", "eigen")
BATCH = 32

Kind = Literal["grad", "eigen"]
Maps = NDArray[np.float32]


def activation_maps(
    model: nn.Module, architecture: str, good_index: int, crops: NDArray[np.uint8], kind: str = "grad"
) -> Maps:
    """Return where in each crop the evidence lies.

    Grad-CAM explains the score itself: the gradient is that of the log-odds of *defect*, the sum over all defect
    classes, against *good*. A map has the resolution of the last features (3 x 3 for 84 x 84 crops and a stride of
    32), enlarged bilinearly.

    Args:
        model: a ``JointClassifier`` in evaluation mode.
        architecture: its name, for the message.
        good_index: the good class's column.
        crops: uint8 ``(n, height, width, channels)``.
        kind: ``grad``, or ``eigen``: the features' first principal component, free of any class.

    Returns:
        float32 ``(n, height, width)``, each map from 0 to 1; all 0 where nothing speaks for a defect.

    Raises:
        UsageError: an unknown kind, or an architecture without a feature map.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown activation map {kind!r}", hint=nearest(kind, list(KINDS)))
    size = (crops.shape[2], crops.shape[1])
    tap = FeatureTap(model, architecture)
    try:
        coarse = [
            _grad_cam(model, tap, good_index, crops[start : start + BATCH])
            if kind == "grad"
            else _eigen_cam(model, tap, crops[start : start + BATCH])
            for start in range(0, len(crops), BATCH)
        ]
    finally:
        tap.close()
    return np.stack([_enlarged(one, size) for part in coarse for one in part])


def _grad_cam(model: nn.Module, tap: FeatureTap, good_index: int, crops: NDArray[np.uint8]) -> Maps:
    with torch.enable_grad():
        logits = model(torch.from_numpy(np.ascontiguousarray(crops))).float()
        features = tap.take()
        columns = [column for column in range(logits.shape[1]) if column != good_index]
        odds = logits[:, columns].logsumexp(dim=1) - logits[:, good_index]
        (gradient,) = torch.autograd.grad(odds.sum(), features)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    maps: Maps = (weights * features).sum(dim=1).clamp(min=0.0).detach().numpy()
    return maps


def _eigen_cam(model: nn.Module, tap: FeatureTap, crops: NDArray[np.uint8]) -> Maps:
    with torch.inference_mode():
        model(torch.from_numpy(np.ascontiguousarray(crops)))
        features = tap.take().float()
    n, channels, height, width = features.shape
    flat = features.reshape(n, channels, height * width).transpose(1, 2)
    centred = flat - flat.mean(dim=1, keepdim=True)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    along = (centred @ axes[:, 0, :, None])[:, :, 0]
    # The sign of a principal component means nothing: it is turned to where the activations are.
    turned = along * torch.sign((along * flat.sum(dim=2)).sum(dim=1, keepdim=True))
    maps: Maps = turned.reshape(n, height, width).clamp(min=0.0).numpy()
    return maps


def _enlarged(coarse: Maps, size: tuple[int, int]) -> Maps:
    large = np.maximum(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), 0.0)
    greatest = float(large.max())
    scaled: Maps = (large / greatest if greatest > 0.0 else large).astype(np.float32)
    return scaled
