"""Remembers what a pool holds of each place, so that near duplicates are found."""

import numpy as np
from numpy.typing import NDArray

from sji_edge.data.duplicates import near_pairs
from sji_edge.pool.rows import NewCrop
from sji_edge.pool.write import PoolWriter


class KnownPlaces:
    """The crops of a pool by their place; each place is read once, when it is first asked for.

    Args:
        pool: the pool.
        board: name of the product.
        near_bits: two crops look alike if their hashes differ in at most this many bits; -1: none do.
    """

    def __init__(self, pool: PoolWriter, board: str, near_bits: int) -> None:
        self._pool = pool
        self._board = board
        self._near_bits = near_bits
        self._places: dict[str, tuple[NDArray[np.uint8], list[str]]] = {}

    def has_like(self, crop: NewCrop) -> bool:
        """Tell whether there is a crop of the same place that looks alike and was judged alike."""
        if self._near_bits < 0:
            return False
        hashes, verdicts = self._place(crop.refdes)
        near = near_pairs(_hash(crop), hashes, self._near_bits)
        return any(verdicts[index] == _verdict(crop) for _, index, _ in near)

    def remember(self, crop: NewCrop) -> None:
        """Add a crop that the pool has now."""
        hashes, verdicts = self._place(crop.refdes)
        self._places[crop.refdes] = np.concatenate([hashes, _hash(crop)]), [*verdicts, _verdict(crop)]

    def _place(self, refdes: str) -> tuple[NDArray[np.uint8], list[str]]:
        if refdes not in self._places:
            self._places[refdes] = self._pool.place(self._board, refdes)
        return self._places[refdes]


def _hash(crop: NewCrop) -> NDArray[np.uint8]:
    return np.frombuffer(crop.likeness, np.uint8)[None]


def _verdict(crop: NewCrop) -> str:
    return crop.judged[0].verdict if crop.judged else ""
