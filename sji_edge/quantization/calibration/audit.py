"""The audit of a calibration set: what it covers, and what speaks against it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.frozen import FrozenModel
from sji_edge.data.duplicates import Hashes, near_pairs_within
from sji_edge.data.groups import NO_GROUP

FLAT_SPREAD = 1.0
"""Standard deviation of a crop's samples, in grey levels, below which it shows nothing."""

MAX_FLAT_SHARE = 0.5
MAX_REPEATED_SHARE = 0.5
SHOWN_TENSORS = 8


class CalibrationAudit(FrozenModel):
    """What the audit found.

    Attributes:
        crops: how many.
        by_class: crops of each class.
        by_group: crops of each group, where groups are known.
        groups_missing: groups of the training split that no crop is from.
        exact_duplicates: crops whose file another crop repeats.
        near_duplicates: crops whose picture an earlier crop shows, but for its coding.
        flat_crops: crops without contrast.
        held_out_images_compared: images of validation and test that no crop repeats.
        like_held_out: training images that show what a held-out one shows, but for its coding.
        left_out: training images that were not eligible: those, and the ones of held-out groups.
        clipped: share of the values of each tensor outside the range that three quarters of the crops give,
            on the last quarter; the worst, worst first.
        findings: what speaks against the set, in words.
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
    """Judge a set.

    Args:
        crops: uint8 ``(n, height, width, channels)``, n ≥ 1.
        contents: sha256 of each crop's file.
        hashes: difference hash of each crop's picture.
        labels: class of each crop.
        groups: group of each crop.
        classes: all classes of the training split.
        all_groups: the group of every image of the training split.
        clipped: share of each tensor's values outside its range on crops that the range was not taken from.
        held_out: how many images of other splits the crops were compared with.
        like_held_out: how many training images show what one of those shows.
        left_out: how many training images were not eligible.
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
    """Count the crops that show nothing."""
    return int((crops.reshape(len(crops), -1).std(axis=1) < FLAT_SPREAD).sum())


def _findings(found: CalibrationAudit) -> list[str]:
    """Say what makes a set unfit; what is merely worth knowing stays a figure."""
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
