"""Views of validation joints: each joint as it is, and as a line would show it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image
from sji_edge.data.folder import crops_of
from sji_edge.data.jitter import LINE_JITTER, jittered_crops
from sji_edge.data.novelties import made_up_novelties

MAX_CROPS = 2048
MAX_VIEWS = 5
NOVELTIES = 1000
"""Number of made-up novelties that a review budget is divided with."""


class Views(NamedTuple):
    """Views of labelled joints.

    Attributes:
        crops: uint8 ``(n, h, w, c)``: one plain view of each joint, then all joints again in another view, and so on.
        labels: class indices, int64 ``(n,)``.
        each: number of views of each joint.
    """

    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    each: int


def validation_views(
    images: Sequence[Image], labels: NDArray[np.int64], spec: PreprocessSpec, seed: int
) -> Views:
    """Show validation joints in several views each, on which limits are chosen and engines are compared.

    The first view is the plain crop; the others vary as crops do on a line after alignment (``LINE_JITTER``), so
    that thresholds and parity rest on scores near the limits, too. Splits of more than ``MAX_CROPS``
    joints are sampled at random, which keeps the share of defects.

    Args:
        images: the joints, uint8 grey or BGR.
        labels: class indices, int64 ``(n,)``.
        spec: the model's crops.
        seed: of the views and the sample.
    """
    rng = np.random.default_rng(seed)
    if len(images) > MAX_CROPS:
        chosen = np.sort(rng.choice(len(images), MAX_CROPS, replace=False))
        images, labels = [images[index] for index in chosen], labels[chosen]
    crops = _views(images, spec, rng)
    each = len(crops) // len(images)
    return Views(crops, np.tile(labels, each), each)


def other_views(images: Sequence[Image], spec: PreprocessSpec, seed: int) -> NDArray[np.uint8]:
    """Return joints as ``validation_views`` shows them, in other random views: uint8 ``(n, h, w, c)``."""
    return _views(images, spec, np.random.default_rng(seed + 1))


def novelties_of(views: Views, good_index: int, seed: int) -> NDArray[np.uint8]:
    """Return ``NOVELTIES`` made-up novelties of the good joints' plain views, uint8 ``(NOVELTIES, h, w, c)``."""
    plain = len(views.crops) // views.each
    good = views.crops[:plain][views.labels[:plain] == good_index]
    return made_up_novelties(good, NOVELTIES, seed + 2)


def _views(images: Sequence[Image], spec: PreprocessSpec, rng: np.random.Generator) -> NDArray[np.uint8]:
    views = max(1, min(MAX_VIEWS, MAX_CROPS // len(images)))
    parts = [crops_of(images, spec)]
    parts += [jittered_crops(images, spec, LINE_JITTER, rng) for _ in range(views - 1)]
    return np.concatenate(parts)
