"""An append-only file that receives whole pieces."""

import os
from pathlib import Path

from sji_edge.core.errors import OutputError
from sji_edge.core.file_identity import FileIdentity


class AppendedFile:
    """Appends each piece completely or not at all, without buffering it in this process.

    Args:
        path: the file to create.

    Raises:
        OutputError: it already exists, or cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("xb", buffering=0)
            self._identity = FileIdentity(path)
        except FileExistsError as error:
            raise OutputError(f"{path} already exists and is never overwritten") from error
        except OSError as error:
            raise OutputError(
                f"cannot create {path}: {error.strerror}", hint="choose another output folder"
            ) from error

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def append(self, data: bytes) -> None:
        """Write a piece.

        Raises:
            OSError: it could not be written; none of it was.
            OutputError: the file was moved, deleted or truncated during the run, or somebody else wrote to it.
        """
        start = self._file.tell()
        found = os.fstat(self._file.fileno()).st_size
        if found != start:
            raise OutputError(
                f"{self.path} has {found} bytes instead of {start}: it was changed while this run writes to it",
                hint="end the run before archiving or editing its records",
            )
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            os.ftruncate(self._file.fileno(), start)
            self._file.seek(start)
            raise
        self._identity.check()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()
