"""Finds the training images that calibration may use: none that leaks the images on which parity is proven."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.errors import DataError
from sji_edge.core.files import sha256_of
from sji_edge.data.duplicates import Hashes, difference_hashes, near_pairs
from sji_edge.data.folder import FolderDataset, Sample, crops_of, read_images
from sji_edge.data.groups import NO_GROUP, groups_of

MAX_LIKE_SHARE = 0.5
"""If more of the training split looks like held-out images, joints simply look similar, which is no sign of a leak."""


@dataclass(frozen=True)
class Pool:
    """The images to choose from, in order, and how many others there are."""

    samples: tuple[Sample, ...]
    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: list[str]
    hashes: Hashes
    held_out: int
    like_held_out: int
    left_out: int


def eligible(dataset: FolderDataset, spec: PreprocessSpec) -> Pool:
    """Compare the training split with the held-out ones.

    A file that is in both is refused, because the split is broken. A training image that looks like a held-out one
    apart from its compression, or that belongs to a held-out group, is left out of the choice.

    Args:
        dataset: opened with its training split, and with whatever held-out splits there are.
        spec: the model's crops.

    Raises:
        DataError: a file is in two splits, or no image is left.
    """
    samples = dataset.split("train")
    others = [sample for split in dataset.splits if split != "train" for sample in dataset.split(split)]
    _refuse_leaks(samples, others)
    colour = spec.channels == 3
    images = dataset.read("train", colour=colour)
    hashes = difference_hashes(images)
    paths = [sample.path for sample in others]
    shown = difference_hashes(read_images(paths, colour=colour, bit_depth=dataset.bit_depth))
    groups = groups_of(dataset.root, samples)
    foreign = set(groups_of(dataset.root, others)) - {NO_GROUP}
    near = {own for own, _, _ in near_pairs(hashes, shown)}
    dropped = near if len(near) <= MAX_LIKE_SHARE * len(samples) else set()
    kept = [index for index, group in enumerate(groups) if index not in dropped and group not in foreign]
    if not kept:
        raise DataError(
            f"every training image of {dataset.root} shares its group with a held-out one",
            hint="split the images by board or by time",
        )
    return Pool(
        samples=tuple(samples[index] for index in kept),
        crops=crops_of([images[index] for index in kept], spec),
        labels=dataset.labels("train")[kept],
        groups=[groups[index] for index in kept],
        hashes=hashes[kept],
        held_out=len(others),
        like_held_out=len(near),
        left_out=len(samples) - len(kept),
    )


def _refuse_leaks(samples: Sequence[Sample], others: Sequence[Sample]) -> None:
    known = {sha256_of(sample.path): sample.path for sample in others}
    for sample in samples:
        twin = known.get(sha256_of(sample.path))
        if twin is not None:
            raise DataError(
                f"{sample.path} is in a held-out split too ({twin}); calibrating on it would spoil the parity proof",
                hint="remove one of the two",
            )
