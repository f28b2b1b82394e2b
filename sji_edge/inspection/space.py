"""A disk that fills up, noticed while there is still room to end well."""

import os
from pathlib import Path

from sji_edge.core.errors import OutputError


class FreeSpace:
    """Looks at the free space of a folder's disk after each board.

    Args:
        folder: where the records go.
        reserve_bytes: what must stay free, so that the boards in flight still find room; 0 looks at nothing.
    """

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder = folder
        self._reserve = reserve_bytes

    def shortage(self) -> OutputError | None:
        """Return why the run should end, if the disk is nearly full."""
        if not self._reserve:
            return None
        try:
            disk = os.statvfs(self._folder)
        except OSError as error:
            return OutputError(f"cannot look at the disk of {self._folder}: {error.strerror}")
        free = disk.f_bavail * disk.f_frsize
        if free >= self._reserve:
            return None
        return OutputError(
            f"the disk of {self._folder} is nearly full: {free / 1e6:.0f} MB free, {self._reserve / 1e6:.0f} MB "
            "are kept for what is in flight",
            hint="free some space, choose another --output, or see --reserve-mb",
        )
