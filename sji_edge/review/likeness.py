"""Which crops look alike: by an engine's features where all have them, else by their perceptual hashes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sji_edge.pool.rows import Crop

Vectors = NDArray[np.float32]


def likeness_vectors(crops: Sequence[Crop]) -> Vectors:
    """Return one vector of length 1 for each crop, float32 ``(n, d)``; alike crops have a high scalar product.

    Features are centred first: what all crops share says nothing of what makes two of them alike. A hash's bits become
    −1 and 1, so that the product counts the bits that agree.
    """
    if not crops:
        return np.zeros((0, 1), np.float32)
    features = [crop.judged.features if crop.judged else None for crop in crops]
    sizes = {len(one) for one in features if one is not None}
    if len(sizes) == 1 and None not in features:
        vectors = np.array([np.frombuffer(one or b"", "<f4") for one in features], np.float32)
        vectors = vectors - vectors.mean(axis=0)
    else:
        hashes = np.array([np.frombuffer(crop.likeness, np.uint8) for crop in crops], np.uint8)
        bits = np.unpackbits(hashes.reshape(len(crops), -1), axis=1)
        vectors = bits.astype(np.float32) * 2 - 1
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return found


def one_after_another(vectors: Vectors) -> list[int]:
    """Return an order in which neighbours are alike: from each crop to the nearest one that is left.

    The first is the crop that is least like all others, so that oddities come first and the bulk stays together.

    Args:
        vectors: float32 ``(n, d)`` of length 1.
    """
    count = len(vectors)
    if count == 0:
        return []
    at = int((vectors @ vectors.mean(axis=0)).argmin())
    left = np.ones(count, np.bool_)
    order = []
    for _ in range(count):
        order.append(at)
        left[at] = False
        products = vectors @ vectors[at]
        products[~left] = -np.inf
        at = int(products.argmax())
    return order


def nearest_to(samples: Vectors, others: Vectors) -> list[int]:
    """Return the indices of ``others``, those first that are nearest to any of the samples.

    Args:
        samples: float32 ``(k, d)`` of length 1, k ≥ 1.
        others: float32 ``(n, d)`` of length 1.
    """
    if len(others) == 0:
        return []
    products = (others @ samples.T).max(axis=1)
    order: list[int] = np.argsort(-products, kind="stable").tolist()
    return order
