"""Checks that a file that a run writes is still the file under its name."""

from pathlib import Path

from sji_edge.core.errors import OutputError


class FileIdentity:
    """Remembers which file a name led to. Data written to a file that was moved or deleted is soon lost.

    Args:
        path: the file, which exists.
    """

    def __init__(self, path: Path) -> None:
        # The working directory may change during a run.
        self._path = path.absolute()
        self._name = path
        self._known, self._size = self._now()

    def _now(self) -> tuple[tuple[int, int] | None, int]:
        try:
            status = self._path.stat()
        except OSError:
            return None, 0
        return (status.st_dev, status.st_ino), status.st_size

    def check(self) -> bool:
        """Compare the file that the name leads to now with the one that was opened.

        Returns:
            Whether it is smaller than at the last check: somebody else wrote to it.

        Raises:
            OutputError: it was moved, deleted or replaced.
        """
        found, size = self._now()
        if found != self._known:
            raise OutputError(
                f"{self._name} was moved, deleted or replaced while this run writes to it",
                hint="end the run before archiving its records; for SQLite, move the -wal file along with the database",
            )
        shrunk, self._size = size < self._size, size
        return shrunk
