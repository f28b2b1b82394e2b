"""Reads the joints of a dataset on which two models are compared."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core import run_files
from sji_edge.core.errors import DataError
from sji_edge.core.preprocess import Image
from sji_edge.core.verdict import decide, defect_scores
from sji_edge.data.built import read_rows
from sji_edge.data.folder import FolderDataset, crops_of, read_images
from sji_edge.data.listing import splits_present
from sji_edge.parity.run import predict
from sji_edge.pool.schema import BY_CHANCE
from sji_edge.workflows.compare.subjects import OpenSide


@dataclass(frozen=True)
class LabelledJoints:
    """Joints of all splits of a dataset.

    Attributes:
        images: one for each joint.
        names: board, unit and refdes of a built dataset, otherwise the file.
        is_defect: bool ``(n,)``.
        held_out: whether the joint belongs to the held-out split, bool ``(n,)``.
        by_chance: whether it was kept for a reason that no engine gave, bool ``(n,)``; all, where that is not known.
        version: hash of the dataset.
        joints_per_board: of the largest board in the dataset; 1 where boards are not known.
        defect_share: share of defects among all joints.
    """

    images: Sequence[Image]
    names: tuple[str, ...]
    is_defect: NDArray[np.bool_]
    held_out: NDArray[np.bool_]
    by_chance: NDArray[np.bool_]
    version: str
    joints_per_board: int
    defect_share: float


def read_labelled(root: Path, split: str, good_class: str, bit_depth: int | None) -> LabelledJoints:
    """Read a dataset.

    Args:
        root: its folder.
        split: the split that no model learned from.
        good_class: the class that means *no defect*.
        bit_depth: bits that the samples of 16-bit images use.

    Raises:
        DataError: the dataset cannot be read, has no such split, or no class of that name.
    """
    splits = splits_present(root)
    if split not in splits:
        raise DataError(
            f"{root} has no {split} split to challenge on; found: {', '.join(splits) or 'none'}",
            hint="build the dataset with a share for the test",
        )
    data = FolderDataset.open(root, good_class, splits, bit_depth=bit_depth)
    samples = [(name, sample) for name in splits for sample in data.split(name)]
    paths = [sample.path for _, sample in samples]
    files = [path.relative_to(root).as_posix() for path in paths]
    known, chosen, joints_per_board = _known(root)
    is_defect = np.array([sample.label != 0 for _, sample in samples], np.bool_)
    return LabelledJoints(
        images=read_images(paths, bit_depth=bit_depth),
        names=tuple(known.get(file, file) for file in files),
        is_defect=is_defect,
        held_out=np.array([name == split for name, _ in samples], np.bool_),
        by_chance=np.array([file not in chosen for file in files], np.bool_),
        version=data.sha256(),
        joints_per_board=joints_per_board,
        defect_share=float(is_defect.mean()),
    )


def verdicts_of(side: OpenSide, joints: LabelledJoints) -> NDArray[np.int8]:
    """Return a model's verdict codes, by its own limits and guard, int8 ``(n,)``."""
    output = predict(side.engine, crops_of(joints.images, side.card.preprocess))
    scores = defect_scores(output.logits, side.card.good_index)
    return decide(scores, side.thresholds, output.novelty)


def _known(root: Path) -> tuple[dict[str, str], frozenset[str], int]:
    """Return what people call each file of a built dataset, which files an engine chose, and the joints of a board."""
    if not (root / run_files.DATASET).is_file():
        return {}, frozenset(), 1
    rows = read_rows(root)
    names = {row.file: f"{row.board} {row.unit} {row.refdes} ({row.state})" for row in rows}
    places = Counter(board for board, _ in {(row.board, row.refdes) for row in rows})
    return (
        names,
        frozenset(row.file for row in rows if row.kept_because not in BY_CHANCE),
        max(places.values()),
    )
