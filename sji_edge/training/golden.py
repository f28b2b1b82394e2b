"""Make the golden crops: plain views of validation joints, and views as a line would show them."""

import numpy as np

from sji_edge.core.card import PreprocessSpec
from sji_edge.data.folder import FolderDataset, crops_of
from sji_edge.data.jitter import LINE_JITTER, jittered_crops
from sji_edge.models.classifier import JointClassifier
from sji_edge.models.predict import logits_of
from sji_edge.runtime.bundle.golden import Golden

MAX_CROPS = 2048
MAX_VIEWS = 5


def golden_of(model: JointClassifier, dataset: FolderDataset, spec: PreprocessSpec, seed: int) -> Golden:
    """Judge several views of each validation joint with PyTorch.

    The first view is the plain crop; the others vary as on a line after alignment (``LINE_JITTER``), so that
    thresholds and parity also see scores close to the limits. Splits of more than ``MAX_CROPS`` joints are sampled
    at random, which keeps the share of defects on average.

    Args:
        model: the trained model.
        dataset: opened with its validation split.
        spec: size and channels of the model's crops.
        seed: seed of the views and the sample.
    """
    rng = np.random.default_rng(seed)
    images, labels = dataset.read("validation", colour=spec.channels == 3), dataset.labels("validation")
    if len(images) > MAX_CROPS:
        chosen = np.sort(rng.choice(len(images), MAX_CROPS, replace=False))
        images, labels = [images[index] for index in chosen], labels[chosen]
    views = max(1, min(MAX_VIEWS, MAX_CROPS // len(images)))
    parts = [crops_of(images, spec)]
    parts += [jittered_crops(images, spec, LINE_JITTER, rng) for _ in range(views - 1)]
    crops = np.concatenate(parts)
    return Golden(crops, logits_of(model, crops), np.tile(labels, views))
