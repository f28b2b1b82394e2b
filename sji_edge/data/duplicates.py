"""Find near-duplicate images with a difference hash (dHash).

Each of the 256 bits says whether the image gets brighter from one cell of a 16 x 16 grid to the next. On 1501 real
solder joints, a copy saved as JPEG, resized to 80 % or made 8 % brighter differs in at most 31 bits, and two different
photographs differ in at least 42.
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
    """Return an image's hash, uint8 ``(SIDE * SIDE / 8,)``.

    Args:
        image: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``.
    """
    grey = to_channels(image, 1)
    small = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    hashed: Hashes = np.packbits(small[:, 1:] > small[:, :-1])
    return hashed


def difference_hashes(images: Sequence[Image]) -> Hashes:
    """Return the hashes of images, uint8 ``(n, SIDE * SIDE / 8)``."""
    return np.array([difference_hash(image) for image in images], np.uint8).reshape(-1, SIDE * SIDE // 8)


def near_pairs(one: Hashes, other: Hashes, bits: int = NEAR_BITS) -> Iterator[tuple[int, int, int]]:
    """Yield pairs that differ in at most ``bits`` bits: index in ``one``, index in ``other``, differing bits."""
    for start in range(0, len(one), _ROWS):
        apart = _BITS_SET[one[start : start + _ROWS, None] ^ other[None]].sum(axis=2)
        for row, column in np.argwhere(apart <= bits).tolist():
            yield start + row, column, int(apart[row, column])


def near_pairs_within(hashes: Hashes, bits: int = NEAR_BITS) -> Iterator[tuple[int, int, int]]:
    """Yield each pair of one collection once, the lower index first; see ``near_pairs``."""
    return ((one, other, apart) for one, other, apart in near_pairs(hashes, hashes, bits) if one < other)
