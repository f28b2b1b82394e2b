"""Images of files: as many in memory as a limit allows, the others decoded each time they are asked for."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import overload

from sji_edge.core.errors import DataError
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import Image
from sji_edge.core.text import readable

MAX_LISTED = 5
MEMORY_BYTES = 1 << 29
"""Decoded images that a process keeps of one split: 50,000 grey ones of 100 x 100 pixels. Decoding one again takes a
tenth of the time that training spends on it."""
AT_ONCE = 512
"""Images decoded in parallel before any of them is dropped."""


class StoredImages(Sequence[Image]):
    """The images of some files, in order. Each is decoded once at the start, so that a damaged one is found there.

    Args:
        paths: the files.
        colour: False converts to grey.
        bit_depth: how many bits of their 16-bit samples the images use.
        memory_bytes: size of the images that stay decoded; the first ones do.

    Raises:
        DataError: counts the files that cannot be used and says what is wrong with the first few.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        colour: bool = True,
        bit_depth: int | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._paths = list(paths)
        self._colour = colour
        self._bit_depth = bit_depth
        self._kept: list[Image] = []
        faults: list[DataError] = []
        left = memory_bytes
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self._paths), AT_ONCE):
                for result in pool.map(self._attempt, self._paths[start : start + AT_ONCE]):
                    if isinstance(result, DataError):
                        faults.append(result)
                        continue
                    left -= result.nbytes
                    if left >= 0:
                        self._kept.append(result)
        if faults:
            listed = "; ".join(readable(fault.message) for fault in faults[:MAX_LISTED])
            more = f"; and {len(faults) - MAX_LISTED} more" if len(faults) > MAX_LISTED else ""
            raise DataError(listed + more, hint=faults[0].hint or "remove these files or copy them again")

    @property
    def in_memory(self) -> int:
        """Number of images that stay decoded."""
        return len(self._kept)

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, place: int) -> Image: ...

    @overload
    def __getitem__(self, place: slice) -> list[Image]: ...

    def __getitem__(self, place: int | slice) -> Image | list[Image]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        index = range(len(self))[place]
        if index < len(self._kept):
            return self._kept[index]
        return read_image(self._paths[index], colour=self._colour, bit_depth=self._bit_depth)

    def _attempt(self, path: Path) -> Image | DataError:
        try:
            return read_image(path, colour=self._colour, bit_depth=self._bit_depth)
        except DataError as error:
            return error
