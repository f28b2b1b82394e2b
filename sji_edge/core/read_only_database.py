"""Opens a SQLite database so that reading changes nothing, neither in it nor beside it.

SQLite's read-only mode alone is not enough: for a database in WAL mode it creates ``-wal`` and ``-shm`` files, which
stay behind, belong to the reader, and stop a line that another user runs.
"""

import os
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from sji_edge.core.errors import OutputError, UsageError

Signature = tuple[int, int, int, int]
"""Device, inode, size and modification time in ns."""


@dataclass
class ReadOnly:
    """An open connection that only reads.

    ``quiet_since`` is set where nobody was writing: the file as it was then. SQLite takes no locks in that case, so
    that ``changed`` tells whether what was read can be trusted. ``copy`` holds a private copy until ``close``.
    """

    connection: sqlite3.Connection
    path: Path
    quiet_since: Signature | None = None
    copy: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def changed(self) -> bool:
        """Tell whether somebody wrote into a database that was read without locks."""
        return self.quiet_since is not None and _signature(self.path) != self.quiet_since

    def outdated(self) -> bool:
        """Tell whether a database that was read without locks must be opened again to see what was written since."""
        return self.changed() or (self.quiet_since is not None and _has_log(self.path))

    def close(self) -> None:
        """Close the connection, and remove the private copy if there is one."""
        self.connection.close()
        if self.copy is not None:
            self.copy.cleanup()


def open_read_only(path: Path) -> ReadOnly:
    """Open a database in the way that fits what lies beside it.

    - A log and its index: a run is writing, or was killed. Both files are used as they are (``mode=ro``).
    - No log, or an empty one without an index: nobody writes. The file is read without locks (``immutable=1``).
    - A log without its index, as in an archive: a private copy is read, because SQLite would create the index.

    Args:
        path: the database, an existing file.

    Raises:
        UsageError: it may not be read.
        OutputError: SQLite or the disk failed.
    """
    path = path.resolve()
    try:
        # Opening and closing the file would drop every lock that this process holds on it (POSIX), also SQLite's own:
        # another process would then take the log of a station's open database for abandoned, and delete it.
        if not os.access(path, os.R_OK):
            raise PermissionError
        if _is_open_elsewhere(path):
            return ReadOnly(_connect(path, "mode=ro"), path)
        if not _has_log(path):
            before = _signature(path)
            return ReadOnly(_connect(path, "immutable=1"), path, quiet_since=before)
        return _copied(path)
    except PermissionError as error:
        raise UsageError(
            f"{path} cannot be read by this user", hint="give this user permission to read it"
        ) from error
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"cannot open {path}: {error}") from error


def _copied(path: Path) -> ReadOnly:
    folder = tempfile.TemporaryDirectory(prefix="sji-edge-database-")
    try:
        copy = Path(folder.name) / path.name
        shutil.copyfile(path, copy)
        shutil.copyfile(_beside(path, "-wal"), _beside(copy, "-wal"))
        return ReadOnly(_connect(copy, "mode=rw"), path, copy=folder)
    except BaseException:
        folder.cleanup()
        raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(os.fsencode(path))}?{mode}", uri=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _is_open_elsewhere(path: Path) -> bool:
    """Tell whether somebody has a database open, or was killed while it was open: its log may be empty."""
    return _beside(path, "-wal").exists() and _beside(path, "-shm").exists()


def _has_log(path: Path) -> bool:
    try:
        return _beside(path, "-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def _signature(path: Path) -> Signature | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
