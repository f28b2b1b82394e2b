"""Open a study's dataset, and group the joints that belong together."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError
from sji_edge.data.folder import FolderDataset
from sji_edge.data.groups import TABLE, read_groups


@dataclass(frozen=True)
class HeldOut:
    """The part of the data that a comparison needs.

    Attributes:
        labels: class indices of the validation and the test split.
        groups: group of every test joint; every joint is its own group when no groups are known.
        grouped: whether groups are known.
        good_index: column of the good class in the logits.
    """

    labels: dict[str, NDArray[np.int64]]
    groups: NDArray[np.str_]
    grouped: bool
    good_index: int


def open_dataset(root: Path, good_class: str) -> FolderDataset:
    """Open a dataset with its three splits.

    Raises:
        DataError: a split is missing, validation or test lacks good or defective joints, or a group of
            ``labels.csv`` is in two splits.
    """
    dataset = FolderDataset.open(root, good_class)
    for split in ("validation", "test"):
        good = dataset.labels(split) == 0
        if good.all() or not good.any():
            raise DataError(
                f"the {split} split of {root} has {int(good.sum())} good and {int((~good).sum())} defective "
                "joints; a comparison needs both",
                hint="add joints of both kinds to it",
            )
    _check_groups(dataset, read_groups(root))
    return dataset


def held_out(dataset: FolderDataset) -> HeldOut:
    """Return labels and groups of the held-out splits."""
    known = read_groups(dataset.root)
    paths = [sample.path.relative_to(dataset.root).as_posix() for sample in dataset.split("test")]
    grouped = bool(known) and all(path in known for path in paths)
    return HeldOut(
        labels={split: dataset.labels(split) for split in ("validation", "test")},
        groups=np.array([known[path] if grouped else path for path in paths]),
        grouped=grouped,
        good_index=dataset.classes.index(dataset.good_class),
    )


def _check_groups(dataset: FolderDataset, groups: dict[str, str]) -> None:
    """Refuse splits that share a group, because joints of a group resemble each other."""
    place: dict[str, str] = {}
    for split in dataset.splits:
        for sample in dataset.split(split):
            group = groups.get(sample.path.relative_to(dataset.root).as_posix())
            if group is not None and place.setdefault(group, split) != split:
                raise DataError(
                    f"group {group!r} of {dataset.root / TABLE} is in {place[group]} and in {split}; "
                    "a comparison needs every group in one split",
                    hint="move all joints of the group into one split",
                )
