"""Measures how many crops without a joint an engine would PASS, and whether the loop's check finds them.

A classifier trained on joints alone answers for a flat patch too, and often with PASS. The loop turns such joints into
ERROR (``inspection.judging.hidden_joints``). This module measures how many such crops the engine passes by itself and
how many of those the loop's check misses; the bundle records both. An engine that passes a crop which the check misses
is not released.
"""

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.core.protocols import Engine
from sji_edge.core.verdict import PASS, Thresholds, decide, defect_scores
from sji_edge.inspection.judging.hidden_joints import HiddenJoints
from sji_edge.parity.run import predict
from sji_edge.runtime.bundle.golden import Golden
from sji_edge.runtime.bundle.manifest import BlankCrops, BlankKind

FLAT_LEVELS = np.arange(0, 256, 15, dtype=np.uint8)
"""Grey levels of the flat crops, black and white included."""

MAX_COVERED = 64
"""Number of golden crops that are half covered, each on four sides and in three greys."""

COVERS = (0, 128, 255)
"""Grey levels of the patch that covers half a crop: no light, a label, glare."""


def blank_crops(golden: Golden) -> dict[str, NDArray[np.uint8]]:
    """Make crops on which no joint can be judged, from a run's golden crops.

    Args:
        golden: crops uint8 ``(n, h, w, c)``.

    Returns:
        ``empty`` (black and white), ``flat`` (one grey level each) and ``half covered`` crops.
    """
    shape = golden.crops.shape[1:]
    flat = np.repeat(FLAT_LEVELS, int(np.prod(shape))).reshape(-1, *shape)
    inner = (FLAT_LEVELS > 0) & (FLAT_LEVELS < 255)
    return {
        "empty": np.ascontiguousarray(flat[~inner]),
        "flat": np.ascontiguousarray(flat[inner]),
        "half covered": _half_covered(golden.crops[_evenly(len(golden.crops))]),
    }


def passed_blank_crops(engine: Engine, golden: Golden, card: ModelCard, thresholds: Thresholds) -> BlankCrops:
    """Count the crops without a joint that an engine would PASS, and those that the loop's check misses.

    Args:
        engine: the engine that is to be released.
        golden: the run's golden crops.
        card: the model's card.
        thresholds: the engine's limits.
    """
    check = HiddenJoints(card.preprocess)

    def count(crops: NDArray[np.uint8]) -> BlankKind:
        output = predict(engine, crops)
        passed = decide(defect_scores(output.logits, card.good_index), thresholds, output.novelty) == PASS
        hidden = check.in_crops(crops, np.ones(len(crops), np.bool_))
        return BlankKind(crops=len(crops), passed=int(passed.sum()), missed=int((passed & ~hidden).sum()))

    return BlankCrops(kinds={name: count(crops) for name, crops in blank_crops(golden).items()})


def _evenly(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_COVERED)).astype(np.int64))


def _half_covered(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = crops.shape[1:3]
    sides = (
        (slice(0, height // 2), slice(None)),
        (slice(height - height // 2, None), slice(None)),
        (slice(None), slice(0, width // 2)),
        (slice(None), slice(width - width // 2, None)),
    )
    covered = []
    for rows, columns in sides:
        for level in COVERS:
            patched = crops.copy()
            patched[:, rows, columns] = level
            covered.append(patched)
    return np.concatenate(covered)
