"""Writing whole or not at all, and hashing."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sji_edge.core.errors import OutputError


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name, whole, only when the block ends well.

    After a crash the path holds the old content or the new, nothing between. Without ``sync`` that holds when the
    process dies, but a power cut may leave the file empty.

    Args:
        path: the file; replaced if it exists. Its folder must exist.
        sync: flush to the disk before the file gets its name.

    Yields:
        A temporary file beside it, open for binary writing; its path is ``Path(stream.name)``.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        with open(temporary, "r+b") as stream:  # noqa: PTH123 - the stream's name stays text
            yield stream
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_atomic(path: Path, content: bytes | str, *, sync: bool = True) -> None:
    """Replace a file by this content in one step, as ``atomic_file`` does."""
    with atomic_file(path, sync=sync) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON in one step; NaN and infinity are refused."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that appears under its name only when the block ends well.

    Args:
        path: the folder to make; it must not exist yet.

    Yields:
        A temporary folder beside it. On an exception it is removed; otherwise it becomes ``path``.

    Raises:
        OutputError: ``path`` exists already.
    """
    if path.exists():
        raise OutputError(f"{path} exists already, and nothing is overwritten", hint="choose another --name")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.partial-"))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def fresh_name(parent: Path, stem: str) -> str:
    """Return ``stem``, or ``stem-2``, ``stem-3``, … : the first that ``parent`` does not hold yet."""
    names = [stem, *(f"{stem}-{number}" for number in range(2, 10_000))]
    return next(name for name in names if not (parent / name).exists())


def newest_folder(parent: Path, marker: str) -> Path | None:
    """Return the sub-folder of ``parent`` whose ``marker`` file was written last, or None."""
    marks = [mark for mark in parent.glob(f"*/{marker}") if not mark.parent.name.startswith(".")]
    return max(marks, key=lambda mark: mark.stat().st_mtime_ns).parent if marks else None
