"""Computes activation maps, which show where a model looks: Grad-CAM and Eigen-CAM over its last feature map.

Sources: Selvaraju et al., ICCV 2017, "Grad-CAM"; Muhammad and Yeasin, IJCNN 2020, "Eigen-CAM". The maintained
library for both installs a second OpenCV that overwrites ours, so the two formulas are written out here.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest
from sji_edge.evaluation.gallery import Look
from sji_edge.models.checkpoint import load_run
from sji_edge.models.features import FeatureTap

KINDS = ("grad", "eigen")
BATCH = 32

Maps = NDArray[np.float32]


def activation_maps(
    model: nn.Module, architecture: str, good_index: int, crops: NDArray[np.uint8], kind: str = "grad"
) -> Maps:
    """Compute where the evidence for a defect lies in each crop.

    Grad-CAM explains the score itself: it takes the gradient of the log-odds of *defect* (the sum over all defect
    classes) against *good*. Each map has the resolution of the last features (3 x 3 for 84 x 84 crops at a stride
    of 32) and is enlarged bilinearly.

    Args:
        model: a ``JointClassifier`` in evaluation mode.
        architecture: the model's name, for error messages.
        good_index: column of the good class in the logits.
        crops: uint8 ``(n, height, width, channels)``.
        kind: ``grad``, or ``eigen``: the first principal component of the features, independent of the classes.

    Returns:
        float32 ``(n, height, width)``, each map scaled to 0 to 1; all 0 where there is no evidence for a defect.

    Raises:
        UsageError: the kind is unknown, or the architecture has no feature map.
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


def maps_of_run(run: Path, card: ModelCard, kind: str) -> tuple[Look, str]:
    """Load a run, and return what computes its activation maps, with a sentence about them for the report.

    Args:
        run: a trained run.
        card: the card of the model that is evaluated; the run must take the same crops and know the same classes.
        kind: ``grad`` or ``eigen``.

    Raises:
        UsageError: the run belongs to another kind of model, or its architecture has no feature map.
    """
    model, own = load_run(run)
    if (own.preprocess, own.classes, own.good_class) != (card.preprocess, card.classes, card.good_class):
        raise UsageError(
            f"{run} cannot explain {card.name}: its crops or its classes differ",
            hint="name the run that this model was made from",
        )

    def look(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return activation_maps(model, own.architecture, own.good_index, crops, kind)

    # Fails here, before the long work, where the architecture has no feature map.
    look(np.zeros((1, *own.preprocess.shape), np.uint8))
    name = "Grad-CAM of the score" if kind == "grad" else "Eigen-CAM"
    return look, f"The map beside each crop is {name}: bright is where the evidence lies."


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
    # The sign of a principal component is arbitrary; make it positive where the activations are.
    turned = along * torch.sign((along * flat.sum(dim=2)).sum(dim=1, keepdim=True))
    maps: Maps = turned.reshape(n, height, width).clamp(min=0.0).numpy()
    return maps


def _enlarged(coarse: Maps, size: tuple[int, int]) -> Maps:
    large = np.maximum(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), 0.0)
    greatest = float(large.max())
    scaled: Maps = (large / greatest if greatest > 0.0 else large).astype(np.float32)
    return scaled
