"""The images of a folder or of a pattern, in the order of their names."""

import glob
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from sji_edge.core.clock import Clock
from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.images.read import IMAGE_SUFFIXES, read_image
from sji_edge.core.options import Options, read_options
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Frame
from sji_edge.core.text import readable

READERS = 2
"""Images that are decoded ahead, one thread each; so many decoded ones are held in memory."""

Read = tuple[Image | None, str]


class FolderOptions(Options):
    """Whether to wait for more images; ``SourceSpec`` makes a watched folder of one with ``watch=1``."""

    watch: bool = False


class FolderSource:
    """Reads images, two ahead. One that cannot be decoded is a frame without pixels, and does not end it.

    Args:
        paths: the images, in order.
        clock: stamps each frame when it is asked for: reading ahead is no latency.
        colour: False brings colour to grey.
        root: frames are named by their path from here; by their file name without it.
    """

    stored = True

    def __init__(
        self, paths: list[Path], clock: Clock, colour: bool = True, root: Path | None = None
    ) -> None:
        self._paths = paths
        self._clock = clock
        self._colour = colour
        self._root = root
        self._closed = threading.Event()

    @classmethod
    def open(
        cls, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> Self:
        """List a folder's images or those that fit a pattern, or take a single one; ``skip`` is left out.

        Raises:
            SourceError: no such folder, or no image in it.
        """
        read_options(FolderOptions, options, "a folder source")
        root = Path(target)
        pattern = glob.has_magic(target) and not root.exists()
        try:
            if pattern:
                # Path.glob takes no absolute pattern.
                found = sorted(Path(path) for path in glob.glob(target, recursive=True))  # noqa: PTH207
            else:
                found = sorted(root.iterdir()) if root.is_dir() else [root]
        except OSError as error:
            raise SourceError(f"cannot list {root}: {error.strerror}") from error
        hidden = {path.resolve() for path in skip}
        paths = [path for path in found if is_frame_file(path) and path.resolve() not in hidden]
        if not paths:
            raise SourceError(
                _nothing(root, pattern),
                hint=f"images end in {', '.join(IMAGE_SUFFIXES)}; folders inside it are not searched",
            )
        return cls(paths, clock, colour, _fixed_part(root) if pattern else None)

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
            return read_image(path, colour=self._colour), ""
        except DataError as error:
            return None, readable(error.message)

    def _name(self, path: Path) -> str:
        return readable(path.name if self._root is None else path.relative_to(self._root).as_posix())

    def close(self) -> None:
        """End an iteration once the image that it decodes is ready."""
        self._closed.set()


def is_frame_file(path: Path) -> bool:
    """Tell whether a path is a file that a camera or a copy finished under an image's name."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _fixed_part(pattern: Path) -> Path:
    parts = pattern.parts[:-1]
    fixed = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:fixed])


def _nothing(root: Path, pattern: bool) -> str:
    if pattern:
        return f"no image fits the pattern {root}"
    return f"no image in {root}" if root.exists() else f"no such folder {root}"
