"""Reads files within bounds, writes them completely or not at all, and hashes them."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any

from sji_edge.core.errors import OutputError, SjiError, UsageError
from sji_edge.core.text import readable

StrPath = str | PathLike[str]
"""A path as text, as a ``Path``, or as a result that names a folder, such as a run."""

MAX_TEXT_BYTES = 16 << 20
"""Size limit of a settings file, a manifest or a table: far above any real one, far below the memory of a machine."""

NOT_REGULAR = "it is not a regular file"

PARTIAL = ".partial-"
STALE_AFTER_S = 60.0
"""Minimum age of a stale partial folder, because a new folder is locked only after it is created."""


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_bounded(path: Path, limit: int = MAX_TEXT_BYTES, *, error: type[SjiError] = UsageError) -> bytes:
    """Read a regular file of at most ``limit`` bytes; never waits for a pipe or reads a device.

    Args:
        path: the file.
        limit: in bytes.
        error: the class to raise.

    Raises:
        error: the file cannot be read, is not a regular file, or is larger.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as failure:
        raise error(f"cannot read {path}: {getattr(failure, 'strerror', None) or failure}") from failure
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise error(f"cannot read {path}: not a regular file")
    with os.fdopen(handle, "rb") as stream:
        try:
            content = stream.read(limit + 1)
        except OSError as failure:
            raise error(f"cannot read {path}: {failure.strerror}") from failure
    if len(content) > limit:
        raise error(f"{path} is larger than {limit:,} bytes, the limit for this kind of file")
    return content


def read_json(path: Path, limit: int = MAX_TEXT_BYTES, *, error: type[SjiError] = UsageError) -> Any:
    """Read a JSON file within bounds; raises as ``read_bounded`` and ``parse_json``."""
    return parse_json(read_bounded(path, limit, error=error), str(path), error=error)


def parse_json(content: bytes, name: str, *, error: type[SjiError] = UsageError) -> Any:
    """Parse JSON in UTF-8, with or without a byte order mark.

    Args:
        content: the file's bytes.
        name: what messages call the file.
        error: the class to raise.

    Raises:
        error: the content is not UTF-8, not JSON, has NaN, infinity, an endless number or a key twice, or is nested
            too deeply; names the line.
    """
    try:
        return json.loads(
            content.decode("utf-8-sig"),
            parse_constant=_refuse_constant,
            parse_int=_whole_number,
            object_pairs_hook=_unique_keys,
        )
    except UnicodeDecodeError as failure:
        raise error(f"{name} is not UTF-8 text") from failure
    except json.JSONDecodeError as failure:
        raise error(f"{name} line {failure.lineno}: not JSON: {failure.msg}") from failure
    except ValueError as failure:
        raise error(f"{name} is not valid JSON: {failure}") from failure
    except RecursionError as failure:
        raise error(f"{name} is nested too deeply") from failure


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")


def _whole_number(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError(f"a number has {len(digits)} digits") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # Which of the two values counts would depend on the reader.
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"duplicate key {readable(repeated)}")
    return found


def read_toml(
    path: Path, limit: int = MAX_TEXT_BYTES, *, error: type[SjiError] = UsageError
) -> dict[str, Any]:
    """Read a TOML file within bounds.

    Raises:
        error: as ``read_bounded``; or the content is not UTF-8, not TOML, or nested too deeply.
    """
    content = read_bounded(path, limit, error=error)
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as failure:
        raise error(f"{path} is not UTF-8 text") from failure
    except tomllib.TOMLDecodeError as failure:
        raise error(f"{path} is not valid TOML: {failure}") from failure
    except (RecursionError, ValueError) as failure:
        # Any other ValueError is Python's limit on the digits of a number.
        deep = isinstance(failure, RecursionError)
        raise error(f"{path} is nested too deeply" if deep else f"{path}: a number is too long") from failure


@contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name, complete, only when the block ends without an exception.

    After a crash the path has either the old content or the new. Without ``sync`` this is guaranteed when the
    process dies, but a power cut may leave the file empty.

    Args:
        path: the file; replaced if it exists. Its folder must exist.
        sync: flush to the disk before the file gets its name.

    Yields:
        A temporary file beside it, open for binary writing; its path is ``Path(stream.name)``.

    Raises:
        OSError: it cannot be written; or the path is a device or a pipe, which would be replaced, not written to.
    """
    if _is_special(path):
        raise FileExistsError(errno.EEXIST, NOT_REGULAR, str(path))
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


def _is_special(path: Path) -> bool:
    """Tell whether a path leads to a device, a pipe or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_atomic(path: Path, content: bytes | str, *, sync: bool = True) -> None:
    """Replace the content of a file in one step, as ``atomic_file`` does."""
    with atomic_file(path, sync=sync) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON in one step; raises ``ValueError`` for NaN and infinity."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Raise ``OutputError`` for every ``OSError`` of the block, which writes ``path``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(
            f"cannot write {path}: {reason}", hint="free some space, or choose another folder"
        ) from error


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that appears under its name only when the block ends without an exception.

    Args:
        path: the folder to create; it must not exist yet. Its parents are created.

    Yields:
        A temporary folder beside it. On an exception it is removed; otherwise it is renamed to ``path``.

    Raises:
        OutputError: ``path`` already exists or cannot be created; raised before the block runs.
    """
    _refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path.parent)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}{PARTIAL}"))
        lock = _locked(temporary)
    except OSError as error:
        raise OutputError(f"cannot create {path}: {error.strerror}", hint="choose another folder") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _locked(folder: Path) -> int:
    """Open a folder and lock it; the lock ends with this process, however it ends."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    # A file system without locks: its partial folders never count as stale.
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def remove_stale(parent: Path, min_age_s: float = STALE_AFTER_S) -> list[str]:
    """Remove the partial folders that a killed process left behind; a folder still being filled is locked.

    Args:
        parent: where ``new_folder`` made them.
        min_age_s: folders changed more recently are kept.

    Returns:
        The names of the folders that were removed.
    """
    removed = []
    for folder in sorted(parent.glob(f".*{PARTIAL}*")):
        with suppress(OSError):
            if folder.is_symlink() or time.time() - folder.stat().st_mtime < min_age_s:
                continue
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                # Another machine's lock, or a file system without locks, raises too: the folder stays.
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                removed.append(folder.name)
            finally:
                os.close(handle)
    return removed


def check_writable_folder(folder: Path, *, create: bool = True) -> None:
    """Check that files can be written into a folder.

    Call it before long work whose result goes there.

    Args:
        folder: the folder.
        create: create it if it is missing; otherwise its nearest existing parent is tried, and nothing is left behind.

    Raises:
        OutputError: it cannot be created or written to.
    """
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        existing = folder.absolute()
        while not existing.exists():
            existing = existing.parent
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".check-"):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write to {folder}: {error.strerror}", hint="choose another folder"
        ) from error


def check_new_folder(path: Path) -> None:
    """Check that ``new_folder(path)`` will work later; the folder's parents are created.

    Raises:
        OutputError: ``path`` already exists, or cannot be created.
    """
    _refuse_existing(path)
    check_writable_folder(path.parent)


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise OutputError(f"{path} already exists and is never overwritten", hint="choose another name")


def check_writable_file(path: Path) -> None:
    """Check that a file can be written later; its folder is created if it is missing.

    Raises:
        OutputError: the path is a folder, a device or a pipe, or its folder cannot be created or written to.
    """
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder", hint="name a file")
    if _is_special(path):
        raise OutputError(f"cannot write {path}: {NOT_REGULAR}", hint="name a file")
    try:
        check_writable_folder(path.parent)
    except OutputError as error:
        raise OutputError(f"cannot write {path}: {error.message}", hint="choose another file") from error


def fresh_name(parent: Path, stem: str) -> str:
    """Return ``stem``, ``stem-2``, ``stem-3``, …: the first name that ``parent`` does not contain."""
    names = [stem, *(f"{stem}-{number}" for number in range(2, 10_000))]
    return next(name for name in names if not (parent / name).exists())


def newest_folder(parent: Path, marker: str) -> Path | None:
    """Return the sub-folder of ``parent`` whose ``marker`` file was written last, or None."""
    marks = [mark for mark in parent.glob(f"*/{marker}") if not mark.parent.name.startswith(".")]
    return max(marks, key=lambda mark: mark.stat().st_mtime_ns).parent if marks else None
