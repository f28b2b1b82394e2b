"""Choosing calibration crops that cover the classes and the feature space."""

import numpy as np
from numpy.typing import NDArray


def cover(
    features: NDArray[np.float32], labels: NDArray[np.int64], count: int, seed: int = 0
) -> NDArray[np.int64]:
    """Choose crops by farthest-first traversal (greedy k-centre) within each class.

    Classes share the count evenly, as far as they reach; what a small class leaves goes to the others. Within a
    class the first crop is the one nearest to the mean, and each next one is the farthest from those chosen
    (Gonzalez 1985, a 2-approximation of the k-centre problem). Every second crop is drawn at random instead, so
    that the bulk of the class is there beside its outliers.

    Args:
        features: float32 ``(n, d)``, of the model that will be quantised.
        labels: class index, ``(n,)``.
        count: how many crops; all of them when there are fewer.
        seed: of the random half.

    Returns:
        Indices, int64 ``(min(count, n),)``, sorted.
    """
    rng = np.random.default_rng(seed)
    shares = _shares(np.unique(labels, return_counts=True)[1], min(count, len(labels)))
    chosen = [
        _cover_class(features, np.flatnonzero(labels == label), share, rng)
        for label, share in zip(np.unique(labels), shares, strict=True)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _shares(sizes: NDArray[np.int64], count: int) -> list[int]:
    """Split a count evenly over classes, none above its size."""
    shares = np.zeros(len(sizes), dtype=np.int64)
    for class_index in np.argsort(sizes, kind="stable"):
        open_classes = int((shares == 0).sum())
        shares[class_index] = min(int(sizes[class_index]), (count - int(shares.sum())) // open_classes)
    return [int(share) for share in shares]


def _cover_class(
    features: NDArray[np.float32], members: NDArray[np.int64], share: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    points = features[members].astype(np.float64)
    first = int(np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1)))
    distance = ((points - points[first]) ** 2).sum(axis=1)
    picked = [first] if share else []
    left = set(range(len(members))) - {first}
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
