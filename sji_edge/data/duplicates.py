"""Pictures that are the same but for their coding: a difference hash, and pairs within a distance.

The hash says of 16 x 16 places whether the picture grows brighter from one to the next (the dHash family). On 1501 real
solder joints, a copy saved as JPEG, resized to 80 % or 8 % brighter lies at most 31 of 256 bits away, while no two
different photographs came closer than 42.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image, to_channels

SIDE = 16
NEAR_BITS = 32
"""Two pictures are near duplicates if at most this many of the ``SIDE * SIDE`` bits differ."""

Hashes = NDArray[np.uint8]
_ROWS = 256
_BITS_SET = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.int16)


def difference_hash(image: Image) -> Hashes:
    """Return a picture's hash, uint8 ``(SIDE * SIDE / 8,)``.

    Args:
        image: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``.
    """
    grey = to_channels(image, 1)
    small = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    hashed: Hashes = np.packbits(small[:, 1:] > small[:, :-1])
    return hashed


def difference_hashes(images: Sequence[Image]) -> Hashes:
    """Return the hashes of pictures, uint8 ``(n, SIDE * SIDE / 8)``."""
    return np.array([difference_hash(image) for image in images], np.uint8).reshape(-1, SIDE * SIDE // 8)


def near_pairs(one: Hashes, other: Hashes, bits: int = NEAR_BITS) -> Iterator[tuple[int, int, int]]:
    """Yield pairs of pictures within a distance: index in ``one``, index in ``other``, differing bits."""
    for start in range(0, len(one), _ROWS):
        apart = _BITS_SET[one[start : start + _ROWS, None] ^ other[None]].sum(axis=2)
        for row, column in np.argwhere(apart <= bits).tolist():
            yield start + row, column, int(apart[row, column])


def near_pairs_within(hashes: Hashes, bits: int = NEAR_BITS) -> Iterator[tuple[int, int, int]]:
    """Yield the pairs of one collection once each, the lower index first."""
    return ((one, other, apart) for one, other, apart in near_pairs(hashes, hashes, bits) if one < other)
