"""Make the golden crops: plain views of validation joints, and views as a line would show them."""

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image
from sji_edge.data.folder import FolderDataset, crops_of
from sji_edge.data.jitter import LINE_JITTER, jittered_crops
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.guard import GuardedClassifier
from sji_edge.models.predict import answers_of, logits_of
from sji_edge.runtime.bundle.golden import Golden

MAX_CROPS = 2048
MAX_VIEWS = 5


def golden_of(
    model: JointClassifier,
    dataset: FolderDataset,
    spec: PreprocessSpec,
    seed: int,
    guarded: GuardedClassifier | None = None,
) -> Golden:
    """Judge validation joints in several views each with PyTorch.

    The first view is the plain crop; the others vary as crops do on a line after alignment (``LINE_JITTER``), so
    that thresholds and parity rest on scores near the limits, too. Splits of more than ``MAX_CROPS``
    joints are sampled at random, which keeps the share of defects.

    Args:
        model: the trained model.
        dataset: opened with its validation split.
        spec: the model's crops.
        seed: of the views and the sample.
        guarded: the model with its guard, if it has one.
    """
    rng = np.random.default_rng(seed)
    images, labels = dataset.read("validation", colour=spec.channels == 3), dataset.labels("validation")
    if len(images) > MAX_CROPS:
        chosen = np.sort(rng.choice(len(images), MAX_CROPS, replace=False))
        images, labels = [images[index] for index in chosen], labels[chosen]
    crops = _views(images, spec, rng)
    labels = np.tile(labels, len(crops) // len(images))
    if guarded is None:
        return Golden(crops, logits_of(model, crops), labels)
    logits, novelty = answers_of(guarded, crops)
    return Golden(crops, logits, labels, novelty)


def views_of(images: list[Image], spec: PreprocessSpec, seed: int) -> NDArray[np.uint8]:
    """Return joints as ``golden_of`` shows them, with views of their own: uint8 ``(n, h, w, c)``."""
    return _views(images, spec, np.random.default_rng(seed + 1))


def _views(images: list[Image], spec: PreprocessSpec, rng: np.random.Generator) -> NDArray[np.uint8]:
    views = max(1, min(MAX_VIEWS, MAX_CROPS // len(images)))
    parts = [crops_of(images, spec)]
    parts += [jittered_crops(images, spec, LINE_JITTER, rng) for _ in range(views - 1)]
    return np.concatenate(parts)
