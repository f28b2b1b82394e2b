"""Folders of pictures with a quota: the oldest make room, records are never touched."""

import errno
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from sji_edge.core.errors import OutputError
from sji_edge.core.files import write_atomic

SUFFIXES = (".png", ".jpg")
TEMPORARY = re.compile(r"\.(?P<name>.+\.(?:png|jpg))\.[a-z0-9_]{8}")
"""What ``write_atomic`` writes before it takes the picture's name; a killed run leaves one."""
STALE_S = 60.0
"""A picture is written within milliseconds; a temporary file so old is nobody's any more."""
LIST = ".sji-edge-pictures"
FEW_LINES = 1000
"""The list may hold so many lines of pictures that are gone, and as many as of those that are there."""


class PictureFolder:
    """Keeps pictures in a folder, up to a quota.

    Only pictures that a ``PictureFolder`` wrote there are ever deleted, the oldest first, and only to make room
    for a new one: ``.sji-edge-pictures`` lists them, and any other file of the folder is someone else's. What a
    killed run left half-written is deleted at the next start, and counted until it is surely nobody's.

    Args:
        folder: made where it is not there.
        quota_bytes: of all pictures written there; None for no limit.
        warn: told once, in words, of the first picture that alone exceeds the quota.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        quota_bytes: int | None = None,
        *,
        warn: Callable[[str], object] | None = None,
    ) -> None:
        self.folder = folder
        self._quota = quota_bytes
        self._warn = warn
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._write_list()
            found = sorted((seen.st_mtime_ns, path, seen.st_size) for path, seen in self._listed())
        except OSError as error:
            raise OutputError(
                f"cannot make the folder {folder}: {error.strerror}", hint="choose another folder"
            ) from error
        self._kept = OrderedDict((path, size) for _, path, size in found)
        self._bytes = sum(self._kept.values())

    @property
    def bounded(self) -> bool:
        """Whether there is a quota, so that pictures may go."""
        return self._quota is not None

    def write(self, name: str, data: bytes) -> Path | None:
        """Write ``folder/name``, replacing a picture of that name; None when it alone exceeds the quota.

        Raises:
            OutputError: it cannot be written.
        """
        if self._quota is not None and len(data) > self._quota:
            self._too_large(name, len(data), self._quota)
            return None
        path = self.folder / name
        try:
            # Of the picture that it replaces only what was counted; another's is none of ours.
            self._bytes -= self._kept.pop(path, 0)
            while self._quota is not None and self._kept and self._bytes + len(data) > self._quota:
                oldest, size = self._kept.popitem(last=False)
                oldest.unlink(missing_ok=True)
                self._bytes -= size
            path.parent.mkdir(parents=True, exist_ok=True)
            self._add_to_list(name)
            # A power cut may cost the last pictures; waiting for the disk after each would cost the loop more.
            write_atomic(path, data, sync=False)
        except OSError as error:
            raise no_picture(path, error) from error
        self._kept[path] = len(data)
        self._bytes += len(data)
        return path

    def _too_large(self, name: str, size: int, quota: int) -> None:
        warn, self._warn = self._warn, None
        if warn is not None:
            warn(
                f"{self.folder / name} is not kept, nor any other as large: the picture has {size / 1e6:.3g} MB, "
                f"the quota of its folder is {quota / 1e6:.3g} MB; raise --quota-mb"
            )

    def _add_to_list(self, name: str) -> None:
        if self._lines >= self._most_lines:
            self._write_list()
        with (self.folder / LIST).open("a", encoding="utf-8") as stream:
            stream.write(f"{name}\n")
        self._lines += 1

    def _write_list(self) -> None:
        """Leave out what is gone: at times that grow with the list, so that a picture costs no look at all others."""
        there = list(self._listed())
        ledger = self.folder / LIST
        write_atomic(ledger, "".join(f"{self._name(path)}\n" for path, _ in there))
        # By the file system's own clock, which a clock set back in between does not mislead.
        now = ledger.stat().st_mtime
        for path, seen in there:
            if TEMPORARY.fullmatch(path.name) and now - seen.st_mtime > STALE_S:
                path.unlink(missing_ok=True)
        self._lines, self._most_lines = len(there), 2 * len(there) + FEW_LINES

    def _listed(self) -> Iterator[tuple[Path, os.stat_result]]:
        """What is still there of the list; a line that leads elsewhere, or to no picture, is passed over."""
        for path in self._named():
            # Another run that writes here may rename or delete it between two looks.
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.stat()

    def _named(self) -> Iterator[Path]:
        ledger = self.folder / LIST
        lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.is_file() else []
        names = [name for name in dict.fromkeys(lines) if _is_inside(name)]
        for name in names:
            path = self.folder / name
            if path.suffix in SUFFIXES or TEMPORARY.fullmatch(path.name):
                yield path
        yield from self._left_half_written(set(names))

    def _left_half_written(self, names: set[str]) -> Iterator[Path]:
        """Temporary files of listed pictures, which are no lines of their own yet."""
        for parent in {(self.folder / name).parent for name in names}:
            for path in parent.glob(".*") if parent.is_dir() else ():
                found = TEMPORARY.fullmatch(path.name)
                if found is None or self._name(path) in names:
                    continue
                if self._name(path.with_name(found["name"])) in names:
                    yield path

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def no_picture(path: Path, error: OSError) -> OutputError:
    """Say that a picture, or the table of pictures, cannot be written, and what helps."""
    step = "choose a folder that can be written to"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "free some space, bound the folder with --quota-mb, or choose one on another disk"
    return OutputError(
        f"cannot write {path}: {error.strerror}", hint=f"the boards so far are on record; {step}"
    )


def _is_inside(name: str) -> bool:
    return bool(name) and not Path(name).is_absolute() and ".." not in Path(name).parts
