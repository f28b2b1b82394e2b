"""The crops that engines are compared on: a bundle's golden ones, or a dataset's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest
from sji_edge.data.folder import SPLIT_FOLDERS, FolderDataset
from sji_edge.runtime.bundle.bundle import Bundle
from sji_edge.runtime.bundle.golden import read_golden


@dataclass(frozen=True)
class Joints:
    """Crops uint8 ``(n, h, w, c)``, class indices int64 ``(n,)`` (-1 unknown), PyTorch's logits if known."""

    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    pytorch: NDArray[np.float32] | None = None


def golden_joints(bundle: Bundle) -> Joints:
    """Return the golden crops of a bundle with PyTorch's logits."""
    golden = bundle.golden()
    return Joints(crops=golden.crops, labels=golden.labels, pytorch=golden.logits)


def recorded_joints(golden_file: Path, card: ModelCard) -> Joints:
    """Return the golden crops of a run or a bundle with the logits that PyTorch gave them.

    Raises:
        UsageError: there are none.
        BundleError: they do not fit the card.
    """
    if not golden_file.is_file():
        raise UsageError(f"{golden_file} is not there: no golden crops", hint="compare on a dataset: --data")
    golden = read_golden(golden_file, card)
    return Joints(crops=golden.crops, labels=golden.labels, pytorch=golden.logits)


def folder_joints(root: Path, split: str, card: ModelCard) -> Joints:
    """Cut the crops of a dataset's split for a model, its classes matched by name.

    Raises:
        UsageError: no such split.
        DataError: the dataset cannot be read, or has a class that the model does not know.
    """
    if split not in SPLIT_FOLDERS:
        raise UsageError(f"unknown split {split!r}", hint=nearest(split, list(SPLIT_FOLDERS)))
    dataset = FolderDataset.open_split(root, split, card.classes, card.good_class)
    return Joints(crops=dataset.crops(split, card.preprocess), labels=dataset.labels(split))
