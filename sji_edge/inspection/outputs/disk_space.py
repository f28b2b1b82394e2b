"""Notices that a disk fills up while there is still room to end the run properly."""

import os
from collections.abc import Sequence
from pathlib import Path

from sji_edge.core.errors import OutputError


class FreeSpace:
    """Checks the free space of every disk that a run writes to, after each board.

    Args:
        folders: folders of records and pictures; each disk is checked once.
        reserve_bytes: free space that must remain for the boards in flight; 0 switches the check off.
    """

    def __init__(self, folders: Sequence[Path], reserve_bytes: int) -> None:
        # The first folder of each disk. A folder that cannot be read is kept, and ``shortage`` reports it.
        self._folders = list({_disk(folder): folder for folder in reversed(folders)}.values())[::-1]
        self._reserve = reserve_bytes

    def shortage(self) -> OutputError | None:
        """Return the error that ends the run if a disk is nearly full."""
        if not self._reserve:
            return None
        return next((found for folder in self._folders if (found := self._shortage(folder))), None)

    def _shortage(self, folder: Path) -> OutputError | None:
        try:
            disk = os.statvfs(folder)
        except OSError as error:
            return OutputError(f"cannot read the free space of {folder}: {error.strerror}")
        free = disk.f_bavail * disk.f_frsize
        if free >= self._reserve:
            return None
        return OutputError(
            f"the disk of {folder} is nearly full: {free / 1e6:.0f} MB are free, at least "
            f"{self._reserve / 1e6:.0f} MB are reserved for the boards in flight",
            hint="free some space, choose a folder on another disk, or lower the reserve",
        )


def _disk(folder: Path) -> int | Path:
    try:
        return folder.stat().st_dev
    except OSError:
        return folder
