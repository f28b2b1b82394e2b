"""A folder into which another program writes images: each becomes a frame once it is complete."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field

from sji_edge.core.clock import Clock
from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.images.read import MAX_PIXELS, read_image
from sji_edge.core.left_out import LeftOut
from sji_edge.core.options import Options, read_options
from sji_edge.core.protocols import Frame
from sji_edge.core.text import readable
from sji_edge.streams.files.folder import BitDepth, PixelLimit
from sji_edge.streams.files.listing import is_frame_file, left_out_of_folder

SCAN_SHARE = 4
"""The pause between two scans is at least this many times the duration of a scan, for large folders."""


class WatchOptions(Options):
    """When a file counts as complete, in seconds.

    A file is read after ``settle`` seconds without a change. If it cannot be decoded then, it may still be incomplete:
    after ``patience`` seconds it becomes a frame without pixels.
    """

    ignore_existing: bool = False
    settle: float = Field(default=0.2, ge=0.02, le=60)
    patience: float = Field(default=5.0, ge=0, le=600)
    bit_depth: BitDepth = None
    max_pixels: PixelLimit = MAX_PIXELS


Signature = tuple[int, int, int]
"""Modification time in ns, size and inode; when they change, the name holds a new image."""


@dataclass(slots=True)
class _Candidate:
    signature: Signature
    since_ns: int
    tried: bool = False


class WatchedFolderSource:
    """Yields each image of a folder as it is completed, in the order of completion, until it is closed.

    It polls the folder, because change notifications do not work on network shares. It remembers one entry per
    file that is in the folder, and no more.

    Args:
        root: the folder.
        options: see ``WatchOptions``.
        clock: stamps each frame when its pixels are ready.
        colour: False brings colour to grey.
        skip: files that are not frames.
        wait: waits for a number of seconds and returns whether the source was closed meanwhile.
    """

    free_running = False

    def __init__(
        self,
        root: Path,
        options: WatchOptions,
        clock: Clock,
        colour: bool = True,
        skip: frozenset[Path] = frozenset(),
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._root = root
        self._options = options
        self._clock = clock
        self._colour = colour
        self._skip = {path.resolve() for path in skip}
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._given: dict[str, Signature] = {}
        self._candidates: dict[str, _Candidate] = {}
        if options.ignore_existing:
            self._given = self._scan()

    @classmethod
    def open(
        cls, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> Self:
        """Watch a folder, which may be empty.

        Raises:
            SourceError: no such folder.
        """
        settings = read_options(WatchOptions, options, "a watched folder")
        root = Path(target)
        if not root.is_dir():
            raise SourceError(
                f"no such folder {root}", hint="create it, or start the program that writes into it"
            )
        return cls(root, settings, clock, colour, skip)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What lies in the folder now and is not read: sub-folders, hidden images, files of other formats."""
        try:
            return left_out_of_folder(self._root, sorted(self._root.iterdir()))
        except OSError:
            return ()

    def __iter__(self) -> Iterator[Frame]:
        """Yield one frame per image; raises ``SourceError`` when the folder disappears."""
        index = 0
        while not self._closed.is_set():
            started_ns = self._clock.monotonic_ns()
            found = self._scan()
            scan_s = (self._clock.monotonic_ns() - started_ns) / 1e9
            for name in self._settled(found):
                frame = self._frame(index, name)
                if frame is not None:
                    yield frame
                    index += 1
                if self._closed.is_set():
                    return
            if self._wait(max(self._options.settle / 2, SCAN_SHARE * scan_s)):
                return

    def _scan(self) -> dict[str, Signature]:
        """Return the images in the folder, in the order of their last change."""
        found: dict[str, Signature] = {}
        try:
            with os.scandir(self._root) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if not is_frame_file(path) or (self._skip and path.resolve() in self._skip):
                        continue
                    signature = _signature(path)
                    if signature is not None:
                        found[entry.name] = signature
        except OSError as error:
            raise SourceError(
                f"the folder {self._root} was lost: {error.strerror}",
                hint="is its disk or share still mounted?",
            ) from error
        return dict(sorted(found.items(), key=lambda item: (item[1][0], item[0])))

    def _settled(self, found: dict[str, Signature]) -> list[str]:
        """Return the names of new files that have not changed for long enough to be read."""
        now_ns = self._clock.monotonic_ns()
        self._given = {name: signature for name, signature in self._given.items() if name in found}
        self._candidates = {name: known for name, known in self._candidates.items() if name in found}
        ready = []
        for name, signature in found.items():
            if self._given.get(name) == signature:
                continue
            known = self._candidates.get(name)
            if known is None or known.signature != signature:
                self._candidates[name] = _Candidate(signature, now_ns)
                continue
            wanted_s = self._options.patience if known.tried else self._options.settle
            if (now_ns - known.since_ns) / 1e9 >= wanted_s:
                ready.append(name)
        return ready

    def _frame(self, index: int, name: str) -> Frame | None:
        """Read a settled file; None while the rest of it may still arrive."""
        path, known = self._root / name, self._candidates[name]
        pixels, fault = None, ""
        try:
            pixels = read_image(
                path, self._colour, self._options.bit_depth, max_pixels=self._options.max_pixels
            )
        except DataError as error:
            fault = readable(error.message)
        now_ns = self._clock.monotonic_ns()
        if _signature(path) != known.signature:
            # It was written or removed during the read: the next scan tells which.
            return None
        if pixels is None and (now_ns - known.since_ns) / 1e9 < self._options.patience:
            known.tried = True
            return None
        self._given[name] = known.signature
        del self._candidates[name]
        return Frame(index, readable(name), now_ns, pixels, fault)

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()


def _signature(path: Path) -> Signature | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
