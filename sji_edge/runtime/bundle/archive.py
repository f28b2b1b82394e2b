"""Packs a bundle into one file, ``.tar.zst`` or ``.zip``, and unpacks it.

Whatever an archive claims, at most ``MAX_BYTES`` are unpacked, no name can leave the folder, and nothing appears under
the bundle's name before the bundle is verified.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from sji_edge.core.errors import BundleError, GateError, OutputError, UsageError
from sji_edge.core.files import atomic_file, new_folder
from sji_edge.runtime.bundle.archive_formats import read_tar_zst, read_zip, write_tar_zst, write_zip
from sji_edge.runtime.bundle.bundle import Bundle, verify_bundle
from sji_edge.runtime.bundle.manifest import FILE_NAME, MANIFEST, SIGNATURE

MAX_BYTES = 2 << 30
MAX_FILES = 32
PIECE = 1 << 20


class Member(Protocol):
    """One file of an archive while it is read; ``name`` and ``size`` are what the archive claims."""

    name: str
    size: int

    def read(self, n: int) -> bytes:
        """Return up to ``n`` bytes, none at the end."""


Reader = Callable[[Path, int, int], AbstractContextManager[Iterator[Member]]]
Writer = Callable[[IO[bytes], list[Path]], None]
FORMATS: dict[str, tuple[Reader, Writer]] = {
    ".tar.zst": (read_tar_zst, write_tar_zst),
    ".zip": (read_zip, write_zip),
}


def pack(folder: Path, archive: Path, *, require_signature: Path | None = None) -> Bundle:
    """Write a verified bundle into one file, in one step; the same bundle always gives the same bytes.

    Args:
        folder: the bundle, released or not.
        archive: a ``.tar.zst`` or ``.zip``; must not exist yet.
        require_signature: a public key that must have signed the bundle.

    Raises:
        UsageError: ``archive`` has another suffix.
        OutputError: ``archive`` exists, or cannot be written.
        BundleError: the bundle is not what its manifest says, or is too large to be unpacked again.
    """
    writer = FORMATS[_suffix(archive)][1]
    if archive.exists():
        raise OutputError(f"{archive} already exists and is never overwritten", hint="choose another name")
    bundle = verify_bundle(folder, require_released=False, require_signature=require_signature)
    files = [folder / MANIFEST, *(folder / name for name in sorted(bundle.manifest.files))]
    if (folder / SIGNATURE).exists():
        files.insert(1, folder / SIGNATURE)
    size = sum(path.stat().st_size for path in files)
    if size > MAX_BYTES or len(files) > MAX_FILES:
        raise BundleError(
            f"{folder} holds {len(files)} files and {size} bytes, limit {MAX_FILES} files and {MAX_BYTES} bytes"
        )
    _write(archive, lambda stream: writer(stream, files))
    return bundle


def unpack(archive: Path, parent: Path, name: str = "", *, require_signature: Path | None = None) -> Bundle:
    """Unpack an archive into ``parent/name``, which appears only after the bundle in it is verified.

    Args:
        archive: a ``.tar.zst`` or ``.zip``.
        parent: folder of all engines.
        name: name of the new bundle's folder; empty: the archive's name without its suffix.
        require_signature: a public key that must have signed the bundle.

    Returns:
        The bundle. It may not be released, or not able to run here; ``open_bundle`` checks that.

    Raises:
        UsageError: another suffix, or a name that a folder cannot have.
        OutputError: the folder exists, or cannot be written.
        BundleError: the archive is unreadable, truncated, too large, or has an entry that is not a plain file with a
            flat name; or the bundle is not what its manifest says.
        GateError: the bundle has no parity record.
    """
    suffix = _suffix(archive)
    name = name or archive.name.removesuffix(suffix)
    if not FILE_NAME.fullmatch(name):
        raise UsageError(
            f"a bundle's folder cannot be called {name!r}",
            hint="choose a name of letters, digits, dots, hyphens and underscores",
        )
    if not archive.is_file():
        raise BundleError(f"there is no archive {archive}")
    reader = FORMATS[suffix][0]
    target = parent / name
    try:
        with new_folder(target) as partial:
            bundle = _unpack(archive, reader, partial, name, require_signature)
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror}", hint="choose another folder for the engines"
        ) from error
    return replace(bundle, folder=target)


def _unpack(archive: Path, reader: Reader, partial: Path, name: str, public: Path | None) -> Bundle:
    try:
        with reader(archive, MAX_FILES, MAX_BYTES) as members:
            _fill(partial, members)
        return verify_bundle(partial, require_released=False, require_signature=public)
    except (BundleError, GateError) as error:
        said = error.message.replace(str(partial), name)
        raise type(error)(f"{archive} is refused: {said}", hint=error.hint) from error


def _suffix(archive: Path) -> str:
    for suffix in FORMATS:
        if archive.name.endswith(suffix) and archive.name != suffix:
            return suffix
    raise UsageError(f"an archive's name must end in {' or '.join(FORMATS)} (got {archive})")


def _fill(folder: Path, members: Iterator[Member]) -> None:
    """Write the members into a folder; each must have its claimed size, and all together stay within the limits."""
    seen: set[str] = set()
    left = MAX_BYTES
    for member in members:
        name = member.name
        if not FILE_NAME.fullmatch(name):
            raise BundleError(f"an entry is named {name[:60]!r}, which is not a flat file name")
        # Names that differ only in case are one file on some file systems.
        if name.casefold() in seen:
            raise BundleError(f"it holds {name} twice")
        seen.add(name.casefold())
        if len(seen) > MAX_FILES:
            raise BundleError(f"it holds more than {MAX_FILES} files")
        if not 0 <= member.size <= left:
            raise BundleError(f"{name} claims {member.size} bytes, limit {left} more")
        left -= member.size
        _copy(member, folder / name)


def _copy(member: Member, path: Path) -> None:
    missing = member.size
    try:
        with path.open("xb") as stream:
            while missing and (piece := member.read(min(PIECE, missing))):
                stream.write(piece)
                missing -= len(piece)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", hint="free some space") from error
    if missing:
        raise BundleError(f"it is truncated: {path.name} lacks {missing} of {member.size} bytes")


def _write(archive: Path, fill: Callable[[IO[bytes]], None]) -> None:
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(archive) as stream:
            fill(stream)
    except OSError as error:
        raise OutputError(f"cannot write {archive}: {error.strerror}") from error
