"""Measures how similar two activation maps are."""

import numpy as np
from numpy.typing import NDArray

TOP_SHARE = 0.2

Map = NDArray[np.float32]


def pearson(one: Map, other: Map) -> float | None:
    """Return the Pearson correlation of two maps of the same shape; None if either is flat."""
    a, b = (each.astype(np.float64).ravel() for each in (one, other))
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0.0 else None


def top_iou(one: Map, other: Map, share: float = TOP_SHARE) -> float | None:
    """Return the intersection over union of the brightest ``share`` of the pixels; None if a map is flat."""
    if one.max() == one.min() or other.max() == other.min():
        return None
    count = max(1, round(share * one.size))
    tops = [set(np.argsort(-each.ravel(), kind="stable")[:count].tolist()) for each in (one, other)]
    return len(tops[0] & tops[1]) / len(tops[0] | tops[1])
