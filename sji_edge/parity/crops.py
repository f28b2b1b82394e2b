"""Loads the crops that engines are compared on: golden crops, or a split of a dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.left_out import LeftOut
from sji_edge.core.protocols import EngineOutput
from sji_edge.data.folder import FolderDataset, check_split_name
from sji_edge.runtime.bundle.bundle import Bundle
from sji_edge.runtime.bundle.golden import Golden, read_golden


@dataclass(frozen=True)
class Joints:
    """Crops to compare on.

    Attributes:
        crops: uint8 ``(n, h, w, c)``.
        labels: class indices, int64 ``(n,)``; -1 where the class is not known.
        pytorch: the logits that PyTorch gave, float32 ``(n, classes)``; None where they are not known.
        pytorch_novelty: the novelty that PyTorch's guard gave, float32 ``(n,)``; None without a guard.
        left_out: what lies in the dataset folder and was not used.
    """

    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    pytorch: NDArray[np.float32] | None = None
    pytorch_novelty: NDArray[np.float32] | None = None
    left_out: tuple[LeftOut, ...] = ()

    @classmethod
    def of(cls, golden: Golden) -> Self:
        """Take golden crops with what PyTorch answered."""
        return cls(golden.crops, golden.labels, golden.logits, golden.novelty)

    @property
    def recorded(self) -> EngineOutput | None:
        """What PyTorch answered; None where it is not known."""
        return None if self.pytorch is None else EngineOutput(self.pytorch, self.pytorch_novelty)


def golden_joints(bundle: Bundle) -> Joints:
    """Load the golden crops of a bundle with PyTorch's logits."""
    return Joints.of(bundle.golden())


def recorded_joints(golden_file: Path, card: ModelCard) -> Joints:
    """Load the golden crops of a run or a bundle with the logits that PyTorch gave.

    Raises:
        UsageError: the file does not exist.
        BundleError: its content does not fit the card.
    """
    if not golden_file.is_file():
        raise UsageError(
            f"there are no golden crops: {golden_file} does not exist", hint="compare on a dataset instead"
        )
    return Joints.of(read_golden(golden_file, card))


def folder_joints(root: Path, split: str, card: ModelCard, bit_depth: int | None = None) -> Joints:
    """Load a split of a dataset as crops of the model's size; classes are matched by name.

    Args:
        root: the dataset folder.
        split: ``train``, ``validation`` or ``test``.
        card: size, channels and classes of the model.
        bit_depth: bits that the samples of 16-bit images use; None where nobody declared it.

    Raises:
        UsageError: there is no such split.
        DataError: the dataset cannot be read, or it has a class that the model does not know.
    """
    check_split_name(split)
    dataset = FolderDataset.open_split(root, split, card.classes, card.good_class, bit_depth=bit_depth)
    return Joints(
        crops=dataset.crops(split, card.preprocess),
        labels=dataset.labels(split),
        left_out=dataset.left_out,
    )
