"""The images of a folder or of a pattern, in the order of their names."""

import glob
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from sji_edge.core.clock import Clock
from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.images.read import IMAGE_SUFFIXES, MAX_PIXELS, read_image
from sji_edge.core.left_out import LeftOut, in_one_line
from sji_edge.core.options import Options, read_options
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Frame
from sji_edge.core.text import readable
from sji_edge.streams.files.listing import in_natural_order, is_frame_file, left_out_of_folder, matches

READERS = 2
"""Number of images that are decoded ahead, one thread each, and held in memory."""

BitDepth = Annotated[int, Field(ge=8, le=16)] | None
"""Bits of a 16-bit sample that the camera uses; None when nobody declared it."""

PixelLimit = Annotated[int, Field(ge=1, le=MAX_PIXELS)]
"""A file that announces more pixels is refused before it is decoded."""

Read = tuple[Image | None, str]


class FolderOptions(Options):
    """Whether to wait for more images (``SourceSpec`` then opens a watched folder), and what its files may be."""

    watch: bool = False
    bit_depth: BitDepth = None
    max_pixels: PixelLimit = MAX_PIXELS


class FolderSource:
    """Reads images, two ahead. One that cannot be decoded becomes a frame without pixels; the stream goes on.

    Args:
        paths: the images, in order.
        clock: stamps each frame when it is requested, so that reading ahead does not count as latency.
        colour: False brings colour to grey.
        root: frames are named by their path from here; by their file name without it.
        bit_depth: bits of a 16-bit sample that the camera uses; None when nobody declared it.
        left_out: what lies in the folder and is not read.
        max_pixels: a larger image is refused before it is decoded.

    Attributes:
        left_out: as given.
    """

    stored = True

    def __init__(
        self,
        paths: list[Path],
        clock: Clock,
        colour: bool = True,
        root: Path | None = None,
        bit_depth: int | None = None,
        left_out: tuple[LeftOut, ...] = (),
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.left_out = left_out
        self._paths = paths
        self._clock = clock
        self._colour = colour
        self._root = root
        self._bit_depth = bit_depth
        self._max_pixels = max_pixels
        self._closed = threading.Event()

    @classmethod
    def open(
        cls, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> Self:
        """List a folder's images or those that match a pattern, or take a single one; ``skip`` is left out.

        Names are in natural order: ``board2`` before ``board10``.

        Raises:
            SourceError: no such folder, or no image in it.
        """
        settings = read_options(FolderOptions, options, "a folder source")
        root = Path(target)
        pattern = glob.has_magic(target) and not root.exists()
        try:
            if pattern:
                base, found = matches(target)
            else:
                base, found = root, list(root.iterdir()) if root.is_dir() else [root]
        except OSError as error:
            raise SourceError(f"cannot list {root}: {error.strerror}") from error
        hidden = {path.resolve() for path in skip}
        wanted = [path for path in in_natural_order(found) if not hidden or path.resolve() not in hidden]
        left_out = left_out_of_folder(base, wanted) if wanted != [root] else ()
        paths = [path for path in wanted if is_frame_file(path)]
        if not paths:
            beside = f"; {in_one_line(left_out)}" if left_out else ""
            raise SourceError(
                _nothing(root, pattern) + beside,
                hint=f"images end in {', '.join(IMAGE_SUFFIXES)}; sub-folders are read with a pattern such as "
                "'FOLDER/*/*.png'",
            )
        return cls(
            paths, clock, colour, base if pattern else None, settings.bit_depth, left_out, settings.max_pixels
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield one frame an image."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="read") as readers:
            waiting: deque[tuple[Path, Future[Read]]] = deque()
            paths = iter(self._paths)
            index = 0
            while not self._closed.is_set():
                for path in paths:
                    waiting.append((path, readers.submit(self._read, path)))
                    if len(waiting) >= READERS:
                        break
                if not waiting:
                    return
                path, reading = waiting.popleft()
                pixels, fault = reading.result()
                if self._closed.is_set():
                    return
                yield Frame(index, self._name(path), self._clock.monotonic_ns(), pixels, fault)
                index += 1

    def _read(self, path: Path) -> Read:
        if self._closed.is_set():
            return None, "closed"
        try:
            return read_image(path, self._colour, self._bit_depth, max_pixels=self._max_pixels), ""
        except DataError as error:
            return None, readable(error.message)

    def _name(self, path: Path) -> str:
        return readable(path.name if self._root is None else path.relative_to(self._root).as_posix())

    def close(self) -> None:
        """End an iteration once the image that it decodes is ready."""
        self._closed.set()


def _nothing(root: Path, pattern: bool) -> str:
    if pattern:
        return f"no image matches the pattern {root}"
    return f"no image in {root}" if root.exists() else f"no such folder {root}"
