"""A folder into which something else puts images: each is a frame once it is written to its end."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field

from sji_edge.core.clock import Clock
from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.images.read import read_image
from sji_edge.core.options import Options, read_options
from sji_edge.core.protocols import Frame
from sji_edge.core.text import readable
from sji_edge.streams.files.folder import is_frame_file

SCAN_SHARE = 4
"""Between two scans of a large folder passes so many times what a scan takes."""


class WatchOptions(Options):
    """Seconds that make a file a whole one.

    After ``settle`` without a change it is read. One that then cannot be decoded may still be in writing: it is
    given up, as a frame without pixels, after ``patience``.
    """

    ignore_existing: bool = False
    settle: float = Field(default=0.2, ge=0.02, le=60)
    patience: float = Field(default=5.0, ge=0, le=600)


Signature = tuple[int, int, int]
"""Time of change in ns, size and inode: a name that gets another one is another image."""


@dataclass(slots=True)
class _Candidate:
    signature: Signature
    since_ns: int
    tried: bool = False


class WatchedFolderSource:
    """Gives each image of a folder as it is completed, in the order of completion, until it is closed.

    Looks rather than listens, so that network shares work. It remembers one entry a file that is in the folder,
    no more.

    Args:
        root: the folder.
        options: see ``WatchOptions``.
        clock: stamps each frame when its pixels are ready.
        colour: False brings colour to grey.
        skip: files that are no frames.
        wait: waits so many seconds and tells whether the source was closed; by default until it is closed.
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
        """Watch a folder; an empty one is no fault.

        Raises:
            SourceError: no such folder.
        """
        settings = read_options(WatchOptions, options, "a watched folder")
        root = Path(target)
        if not root.is_dir():
            raise SourceError(f"no such folder {root}", hint="make it, or start what writes into it")
        return cls(root, settings, clock, colour, skip)

    def __iter__(self) -> Iterator[Frame]:
        """Yield one frame an image; raises ``SourceError`` when the folder is gone."""
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
        """Return the images that are there, in the order of their last change."""
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
        """Return the names whose files are new and have not changed for long enough to be read."""
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
        """Read a settled file; None while it is worth waiting for the rest of it."""
        path, known = self._root / name, self._candidates[name]
        pixels, fault = None, ""
        try:
            pixels = read_image(path, colour=self._colour)
        except DataError as error:
            fault = readable(error.message)
        now_ns = self._clock.monotonic_ns()
        if _signature(path) != known.signature:
            # It was written on while it was read, or is gone: the next scan tells.
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
