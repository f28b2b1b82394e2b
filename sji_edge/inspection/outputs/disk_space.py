"""A disk that fills up, noticed while there is still room to end well."""

import os
from collections.abc import Sequence
from pathlib import Path

from sji_edge.core.errors import OutputError


class FreeSpace:
    """Looks at the free space of every disk that a run writes to, after each board.

    Args:
        folders: where records and pictures go; those on one disk are looked at once.
        reserve_bytes: what must stay free, so that the boards in flight still find room; 0 looks at nothing.
    """

    def __init__(self, folders: Sequence[Path], reserve_bytes: int) -> None:
        # The first folder of each disk; one that cannot be looked at is kept, and said so by ``shortage``.
        self._folders = list({_disk(folder): folder for folder in reversed(folders)}.values())[::-1]
        self._reserve = reserve_bytes

    def shortage(self) -> OutputError | None:
        """Return why the run should end, if a disk is nearly full."""
        if not self._reserve:
            return None
        return next((found for folder in self._folders if (found := self._shortage(folder))), None)

    def _shortage(self, folder: Path) -> OutputError | None:
        try:
            disk = os.statvfs(folder)
        except OSError as error:
            return OutputError(f"cannot look at the disk of {folder}: {error.strerror}")
        free = disk.f_bavail * disk.f_frsize
        if free >= self._reserve:
            return None
        return OutputError(
            f"the disk of {folder} is nearly full: {free / 1e6:.0f} MB free, {self._reserve / 1e6:.0f} MB "
            "are kept for what is in flight",
            hint="free some space, choose a folder on another disk, or see --reserve-mb",
        )


def _disk(folder: Path) -> int | Path:
    try:
        return folder.stat().st_dev
    except OSError:
        return folder
