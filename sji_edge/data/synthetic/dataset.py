"""A synthetic dataset in the folder layout of a real one."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from sji_edge.core import run_files
from sji_edge.core.errors import UsageError
from sji_edge.core.files import new_folder, write_atomic
from sji_edge.data.synthetic.files import csv_text, write_png
from sji_edge.data.synthetic.joint import render_joint
from sji_edge.data.synthetic.light import draw_look
from sji_edge.data.synthetic.solder import BOX_PX, GOOD_STATE, draw_defect, draw_pad

SPLITS = ("train", "validation", "test")
GOOD_CLASS, DEFECT_CLASS = "normal", "defective"
LABELS_FILE = run_files.LABELS
LABEL_COLUMNS = ("file", "split", "state", "pad", "group")
GROUP_SIZES = (3, 9)
"""Minimum number of joints in a group, and one more than the maximum."""


@dataclass(frozen=True, slots=True)
class Label:
    """A row of ``labels.csv``; ``file`` is relative to the dataset."""

    file: str
    split: str
    state: str
    pad: str
    group: str


def write_dataset(folder: Path, *, seed: int, counts: Mapping[str, tuple[int, int]]) -> tuple[Label, ...]:
    """Write ``folder/{train,validation,test}/{normal,defective}/ID.png`` and ``labels.csv``.

    Joints of a group share light, board batch and camera settings, as neighbouring photographs do; no group is in
    two splits. The images of a split depend only on the seed and on that split's counts.

    Args:
        folder: folder to make; must not exist yet.
        seed: the same seed gives the same bytes.
        counts: number of good and of defective joints in each split.

    Returns:
        The labels, in the file's order.

    Raises:
        UsageError: an unknown split, a negative count, or nothing to write.
        OutputError: ``folder`` already exists.
    """
    _check_counts(counts)
    with new_folder(folder) as temporary:
        labels = [
            label
            for split in SPLITS
            if split in counts
            for label in _write_split(temporary, seed, split, *counts[split])
        ]
        write_atomic(temporary / LABELS_FILE, csv_text(LABEL_COLUMNS, map(astuple, labels)))
    return tuple(labels)


def _check_counts(counts: Mapping[str, tuple[int, int]]) -> None:
    unknown = [split for split in counts if split not in SPLITS]
    if unknown:
        raise UsageError(f"the split must be one of {', '.join(SPLITS)} (got {unknown[0]!r})")
    if any(count < 0 for pair in counts.values() for count in pair):
        raise UsageError(f"counts of joints must not be negative (got {dict(counts)})")
    if not any(count for pair in counts.values() for count in pair):
        raise UsageError(
            "the number of joints must be at least 1 (got 0)",
            hint="give counts such as {'train': (400, 200)}",
        )


def _write_split(root: Path, seed: int, split: str, good: int, defective: int) -> list[Label]:
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    for name in (GOOD_CLASS, DEFECT_CLASS):
        (root / split / name).mkdir(parents=True)
    states = [GOOD_STATE] * good + [draw_defect(rng) for _ in range(defective)]
    states = [states[place] for place in rng.permutation(len(states))]
    labels: list[Label] = []
    while len(labels) < len(states):
        size = int(rng.integers(*GROUP_SIZES))
        group = f"{SPLITS.index(split)}{rng.bytes(4).hex()[1:]}"
        look = draw_look(rng)
        for state in states[len(labels) : len(labels) + size]:
            pad = draw_pad(rng)
            box_width, box_height = BOX_PX[pad]
            scale = float(rng.uniform(0.82, 1.12))
            size_px = (round(box_height * scale), round(box_width * scale))
            image = render_joint(rng, state, pad, size_px, look)
            name = GOOD_CLASS if state == GOOD_STATE else DEFECT_CLASS
            file = f"{split}/{name}/{len(labels):05d}{rng.bytes(3).hex()}.png"
            write_png(root / file, image)
            labels.append(Label(file, split, state, pad, group))
    return sorted(labels, key=lambda label: label.file)
