"""Audits a calibration set: what it covers, and what makes it unsuitable."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.frozen import FrozenModel
from sji_edge.data.duplicates import Hashes, near_pairs_within
from sji_edge.data.groups import NO_GROUP

FLAT_SPREAD = 1.0
"""A crop whose samples have a smaller standard deviation, in grey levels, counts as flat."""

MAX_FLAT_SHARE = 0.5
MAX_REPEATED_SHARE = 0.5
SHOWN_TENSORS = 8


class CalibrationAudit(FrozenModel):
    """What the audit found.

    Attributes:
        crops: number of crops.
        by_class: number of crops of each class.
        by_group: number of crops of each group, if groups are known.
        groups_missing: groups of the training split without a crop in the set.
        exact_duplicates: crops whose file equals another crop's.
        near_duplicates: crops that look like an earlier one, apart from image compression.
        flat_crops: crops without contrast.
        held_out_images_compared: number of validation and test images that the crops were compared with.
        like_held_out: training images that look like a held-out one, apart from image compression.
        left_out: training images that were not eligible: those, and images of held-out groups.
        clipped: share of each tensor's values outside the range that three quarters of the crops give, measured on the
            last quarter; only the worst tensors, worst first.
        findings: what makes the set unsuitable, in words.
    """

    crops: int
    by_class: dict[str, int]
    by_group: dict[str, int] = {}
    groups_missing: tuple[str, ...] = ()
    exact_duplicates: int
    near_duplicates: int = 0
    flat_crops: int
    held_out_images_compared: int
    like_held_out: int = 0
    left_out: int = 0
    clipped: dict[str, float] = {}
    findings: tuple[str, ...] = ()


def audit(
    crops: NDArray[np.uint8],
    *,
    contents: Sequence[str],
    hashes: Hashes,
    labels: Sequence[str],
    groups: Sequence[str],
    classes: Sequence[str],
    all_groups: Sequence[str],
    clipped: Mapping[str, float],
    held_out: int,
    like_held_out: int,
    left_out: int,
) -> CalibrationAudit:
    """Audit a set.

    Args:
        crops: uint8 ``(n, height, width, channels)``, n ≥ 1.
        contents: sha256 of each crop's file.
        hashes: difference hash of each crop's picture.
        labels: class of each crop.
        groups: group of each crop.
        classes: all classes of the training split.
        all_groups: the group of every image of the training split.
        clipped: share of each tensor's values outside its range, on crops not used for the range.
        held_out: number of images in other splits that the crops were compared with.
        like_held_out: number of training images that look like one of those.
        left_out: number of training images that were not eligible.
    """
    worst = sorted(clipped.items(), key=lambda item: -item[1])[:SHOWN_TENSORS]
    named = sorted(set(all_groups) - {NO_GROUP})
    found = CalibrationAudit(
        crops=len(crops),
        by_class={name: Counter(labels)[name] for name in classes},
        by_group=dict(sorted(Counter(group for group in groups if group != NO_GROUP).items())),
        groups_missing=tuple(name for name in named if name not in groups),
        exact_duplicates=len(contents) - len(set(contents)),
        near_duplicates=len({later for _, later, _ in near_pairs_within(hashes)}),
        flat_crops=flat(crops),
        held_out_images_compared=held_out,
        like_held_out=like_held_out,
        left_out=left_out,
        clipped={name: round(share, 6) for name, share in worst},
    )
    return found.model_copy(update={"findings": tuple(_findings(found))})


def flat(crops: NDArray[np.uint8]) -> int:
    """Return the number of crops without contrast."""
    return int((crops.reshape(len(crops), -1).std(axis=1) < FLAT_SPREAD).sum())


def _findings(found: CalibrationAudit) -> list[str]:
    """Say what makes a set unsuitable; everything else is only a figure."""
    checks = {
        f"{found.flat_crops} of {found.crops} crops are flat (no contrast)": found.flat_crops
        > MAX_FLAT_SHARE * found.crops,
        f"no crop is of class {', '.join(_absent(found))}": bool(_absent(found)),
        f"{found.exact_duplicates} of {found.crops} crops repeat another": found.exact_duplicates
        > MAX_REPEATED_SHARE * found.crops,
    }
    return [text for text, holds in checks.items() if holds]


def _absent(found: CalibrationAudit) -> list[str]:
    return [name for name, count in found.by_class.items() if count == 0]
