"""Chooses calibration crops that cover the classes, their groups and the feature space."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def cover(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    count: int,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Choose crops by farthest-first traversal (greedy k-centre) within each class.

    Classes share the count evenly; what a small class cannot fill goes to the others. Within a class, the first crops
    are the most typical of each group, largest group first; each further one is the crop farthest from those chosen
    (Gonzalez 1985, a 2-approximation of the k-centre problem). Every second crop is drawn at random instead, so that
    the bulk of the class is represented as well as its outliers.

    Args:
        features: float32 ``(n, d)``, from the model that will be quantized.
        labels: class index, ``(n,)``.
        count: number of crops; all of them if there are fewer.
        seed: seed for the random half.
        groups: group of each crop, ``(n,)``; None: all are in one group.

    Returns:
        Indices, int64 ``(min(count, n),)``, sorted.
    """
    rng = np.random.default_rng(seed)
    shares = _shares(np.unique(labels, return_counts=True)[1], min(count, len(labels)))
    group_of = np.array([""] * len(labels) if groups is None else groups)
    chosen = [
        _cover_class(features, group_of, np.flatnonzero(labels == label), share, rng)
        for label, share in zip(np.unique(labels), shares, strict=True)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _shares(sizes: NDArray[np.int64], count: int) -> list[int]:
    """Split a count evenly over classes, none above its size; the smallest classes go first."""
    shares = np.zeros(len(sizes), dtype=np.int64)
    for place, class_index in enumerate(np.argsort(sizes, kind="stable")):
        open_classes = len(sizes) - place
        shares[class_index] = min(int(sizes[class_index]), (count - int(shares.sum())) // open_classes)
    return [int(share) for share in shares]


def _cover_class(
    features: NDArray[np.float32],
    group_of: NDArray[np.str_],
    members: NDArray[np.int64],
    share: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    points = features[members].astype(np.float64)
    picked = _typical(points, group_of[members])[:share]
    left = set(range(len(members))) - set(picked)
    distance = np.full(len(members), np.inf)
    for number in picked:
        distance = np.minimum(distance, ((points - points[number]) ** 2).sum(axis=1))
    distance[picked] = -1.0
    while len(picked) < share:
        if len(picked) % 2:
            nearest = int(np.argmax(distance)) if distance.max() > 0.0 else min(left)
        else:
            nearest = int(rng.choice(sorted(left)))
        picked.append(nearest)
        left.discard(nearest)
        distance = np.minimum(distance, ((points - points[nearest]) ** 2).sum(axis=1))
        distance[picked] = -1.0
    return members[picked]


def _typical(points: NDArray[np.float64], group_of: NDArray[np.str_]) -> list[int]:
    """Return for each group, largest first, the point nearest to the group's mean."""
    names, sizes = np.unique(group_of, return_counts=True)
    typical = []
    for name in names[np.argsort(-sizes, kind="stable")]:
        own = np.flatnonzero(group_of == name)
        away = ((points[own] - points[own].mean(axis=0)) ** 2).sum(axis=1)
        typical.append(int(own[np.argmin(away)]))
    return typical
