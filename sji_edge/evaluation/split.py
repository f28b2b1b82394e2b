"""Reads one labelled split of a dataset as a model takes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.left_out import in_one_line
from sji_edge.core.preprocess import Image
from sji_edge.core.text import readable
from sji_edge.data.folder import FolderDataset, crops_of
from sji_edge.data.groups import NO_GROUP, groups_of, read_packages
from sji_edge.data.listing import splits_present


@dataclass(frozen=True)
class LabelledSplit:
    """Labelled joints for one model.

    Attributes:
        name: ``train``, ``validation`` or ``test``.
        sha256: hash of the split's files.
        images: one image a joint, as stored.
        crops: uint8 ``(n, height, width, channels)``, of the model's size.
        labels: class indices, int64 ``(n,)``.
        groups: the group (board, panel) of each joint ``(n,)``; None where a joint has none.
        packages: the package (or pad) of each joint, empty where ``labels.csv`` names none.
        files: path of each joint in the dataset, printable.
        left_out: what lies in the dataset folder and was not used, as a sentence; empty where nothing was.
    """

    name: str
    sha256: str
    images: Sequence[Image]
    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[Any] | None
    packages: tuple[str, ...]
    files: tuple[str, ...]
    left_out: str


def has_split(data: Path, name: str) -> bool:
    """Tell whether a dataset has a folder for a split."""
    return name in splits_present(data)


def read_split(data: Path, name: str, card: ModelCard, bit_depth: int | None = None) -> LabelledSplit:
    """Read and crop all joints of a split; classes are matched by name.

    Args:
        data: the dataset folder.
        name: ``train``, ``validation`` or ``test``.
        card: size, channels and classes of the model.
        bit_depth: bits that the samples of 16-bit images use; None where nobody declared it.

    Raises:
        DataError: the split cannot be read, or it has a class that the model does not know.
    """
    dataset = FolderDataset.open_split(data, name, card.classes, card.good_class, bit_depth=bit_depth)
    samples = dataset.split(name)
    images = dataset.read(name, colour=card.preprocess.channels == 3)
    groups, packages = groups_of(data, samples), read_packages(data)
    return LabelledSplit(
        name=name,
        sha256=dataset.sha256(),
        images=images,
        crops=crops_of(images, card.preprocess),
        labels=dataset.labels(name),
        groups=None if NO_GROUP in groups else np.array(groups),
        packages=tuple(packages.get(sample.path.relative_to(data).as_posix(), "") for sample in samples),
        files=tuple(readable(str(sample.path.relative_to(data))) for sample in samples),
        left_out=in_one_line(dataset.left_out),
    )
