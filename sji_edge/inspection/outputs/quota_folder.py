"""Folders of pictures with a quota: the oldest pictures are deleted first; records never are."""

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
"""File that ``write_atomic`` renames to the picture when it is complete; a killed run leaves one behind."""
STALE_S = 60.0
"""A picture is written within milliseconds; a temporary file older than this belongs to no run."""
LIST = ".sji-edge-pictures"
FEW_LINES = 1000
"""Lines of deleted pictures that the list may hold, plus one for each picture that exists."""


class PictureFolder:
    """Keeps pictures in a folder, up to a quota.

    Only pictures that a ``PictureFolder`` wrote are ever deleted, the oldest first, and only to make room for a new
    one. ``.sji-edge-pictures`` lists them; every other file in the folder belongs to someone else, and so does
    everything that a linked sub-folder leads to. Files that a killed run left half-written are deleted at a later
    start, once they are old enough to belong to no run; until then they count.

    Args:
        folder: created if it does not exist.
        quota_bytes: maximum size of all pictures together; None for no limit.
        warn: called with a message about the first picture that exceeds the quota by itself.

    Raises:
        OutputError: the folder cannot be created.
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
            self._root = folder.resolve()
            self._write_list()
            found = sorted((seen.st_mtime_ns, path, seen.st_size) for path, seen in self._listed())
        except OSError as error:
            raise OutputError(
                f"cannot create the folder {folder}: {error.strerror}", hint="choose another folder"
            ) from error
        self._kept = OrderedDict((path, size) for _, path, size in found)
        self._bytes = sum(self._kept.values())

    @property
    def bounded(self) -> bool:
        """Whether there is a quota, so that pictures may be deleted."""
        return self._quota is not None

    def write(self, name: str, data: bytes) -> Path | None:
        """Write ``folder/name``, and replace a picture of that name.

        Returns:
            The picture's path, or None if the picture exceeds the quota by itself.

        Raises:
            OutputError: it cannot be written, or its folder is a link that leads out of this one.
        """
        if self._quota is not None and len(data) > self._quota:
            self._too_large(name, len(data), self._quota)
            return None
        path = self.folder / name
        try:
            # A file of that name that is not counted belongs to someone else, and so does its size.
            self._bytes -= self._kept.pop(path, 0)
            while self._quota is not None and self._kept and self._bytes + len(data) > self._quota:
                self._delete_oldest()
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self._holds(path):
                raise OutputError(
                    f"cannot write {path}: its folder is a link that leads out of {self.folder}",
                    hint="replace the link by a folder",
                )
            self._add_to_list(name)
            # A power cut may cost the last pictures; waiting for the disk after each would cost the loop more.
            write_atomic(path, data, sync=False)
        except OSError as error:
            raise no_picture(path, error) from error
        self._kept[path] = len(data)
        self._bytes += len(data)
        return path

    def _delete_oldest(self) -> None:
        oldest, size = self._kept.popitem(last=False)
        # The folder may have become a link since.
        if self._holds(oldest):
            oldest.unlink(missing_ok=True)
        self._bytes -= size

    def _holds(self, path: Path) -> bool:
        """Tell whether a picture's folder, with all links followed, lies within this one."""
        return path.parent.resolve().is_relative_to(self._root)

    def _too_large(self, name: str, size: int, quota: int) -> None:
        warn, self._warn = self._warn, None
        if warn is not None:
            warn(
                f"{self.folder / name} is not kept: {size / 1e6:.3g} MB exceed the folder's quota of "
                f"{quota / 1e6:.3g} MB; raise the picture quota"
            )

    def _add_to_list(self, name: str) -> None:
        if self._lines >= self._most_lines:
            self._write_list()
        with (self.folder / LIST).open("a", encoding="utf-8") as stream:
            stream.write(f"{name}\n")
        self._lines += 1

    def _write_list(self) -> None:
        """Rewrite the list without deleted pictures. The longer the list, the less often this happens."""
        there = list(self._listed())
        ledger = self.folder / LIST
        write_atomic(ledger, "".join(f"{self._name(path)}\n" for path, _ in there))
        # Take the file system's clock, in case the system clock was set back.
        now = ledger.stat().st_mtime
        for path, seen in there:
            if TEMPORARY.fullmatch(path.name) and now - seen.st_mtime > STALE_S:
                path.unlink(missing_ok=True)
        self._lines, self._most_lines = len(there), 2 * len(there) + FEW_LINES

    def _listed(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the listed pictures that exist; skip lines that lead elsewhere or name no picture."""
        for path in self._named():
            # Another run that writes here may rename or delete it at any moment.
            with suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink() and self._holds(path):
                    yield path, path.stat()

    def _named(self) -> Iterator[Path]:
        ledger = self.folder / LIST
        # Names that are not text stay what they are.
        text = ledger.read_text(encoding="utf-8", errors="surrogateescape") if ledger.is_file() else ""
        lines = text.splitlines()
        names = [name for name in dict.fromkeys(lines) if _is_inside(name)]
        for name in names:
            path = self.folder / name
            if path.suffix in SUFFIXES or TEMPORARY.fullmatch(path.name):
                yield path
        yield from self._left_half_written(set(names))

    def _left_half_written(self, names: set[str]) -> Iterator[Path]:
        """Yield temporary files of listed pictures that have no line yet."""
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
    """Return the error for a picture, or the table of pictures, that cannot be written."""
    step = "choose a writable folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "free some space, set a picture quota, or choose a folder on another disk"
    return OutputError(
        f"cannot write {path}: {error.strerror}", hint=f"the boards so far are on record; {step}"
    )


def _is_inside(name: str) -> bool:
    return bool(name) and not Path(name).is_absolute() and ".." not in Path(name).parts
