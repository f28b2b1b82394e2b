"""A file that only grows, by whole pieces."""

import os
from pathlib import Path

from sji_edge.core.errors import OutputError


class AppendedFile:
    """Takes each piece whole or not at all; nothing waits in a buffer of this process.

    Args:
        path: the file to make.

    Raises:
        OutputError: it exists already, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError as error:
            raise OutputError(f"{path} exists already, and nothing is overwritten") from error
        except OSError as error:
            raise OutputError(
                f"cannot make {path}: {error.strerror}", hint="choose another --output"
            ) from error

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def append(self, data: bytes) -> None:
        """Write a piece; raises ``OSError`` having written none of it."""
        start = self._file.tell()
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            os.ftruncate(self._file.fileno(), start)
            self._file.seek(start)
            raise

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()
