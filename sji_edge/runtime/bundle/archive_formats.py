"""Reads and writes the two archive formats as flat lists of plain files; anything else in them is refused.

``tarfile`` reads extended headers of any size into memory, and ``zipfile`` a directory of any size. To bound both, the
tar reader here accepts plain ustar headers only, and the zip reader looks at the end record first.
"""

import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sji_edge.core.errors import BundleError
from sji_edge.core.extras import load
from sji_edge.core.text import one_line

BLOCK = tarfile.BLOCKSIZE
EMPTY_BLOCK = bytes(BLOCK)
MAX_WINDOW = 128 << 20
"""Memory limit for decoding a zstd frame; level 19 on a bundle needs 8 MiB."""

MAX_PADDING = 1 << 16
"""Limit of zeros after the last entry; tar fills up its last record of 10 KiB."""

LEVEL = 12
EPOCH = (1980, 1, 1, 0, 0, 0)
END_RECORD = struct.Struct("<4s4H2LH")
END_MAGIC = b"PK\x05\x06"
ZIP64_LOCATOR_MAGIC = b"PK\x06\x07"
ZIP64_LOCATOR_BYTES = 20
MAX_DIRECTORY_ENTRY = 512
ENCRYPTED = 1


@dataclass
class TarMember:
    """A file in a tar stream; unread bytes are skipped when the next file is taken."""

    name: str
    size: int
    _stream: IO[bytes]
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.size

    def read(self, n: int) -> bytes:
        """Return up to ``n`` bytes, none at the end."""
        piece = self._stream.read(min(n, self.left))
        self.left -= len(piece)
        return piece


@dataclass
class ZipMember:
    """A file in a zip."""

    name: str
    size: int
    _stream: IO[bytes]

    def read(self, n: int) -> bytes:
        """Return up to ``n`` bytes, none at the end."""
        return self._stream.read(n)


def write_tar_zst(stream: IO[bytes], files: list[Path]) -> None:
    """Write files as a ustar archive in one zstd frame with a checksum; times and owners are left out.

    Raises:
        MissingExtraError: ``zstandard`` is not installed; a zip needs nothing.
    """
    zstandard = load("zstandard", purpose="a .tar.zst archive")
    packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    with packer.stream_writer(stream, closefd=False) as packed:
        for path in files:
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            packed.write(entry.tobuf(tarfile.USTAR_FORMAT))
            with path.open("rb") as source:
                while piece := source.read(1 << 20):
                    packed.write(piece)
            packed.write(bytes(-entry.size % BLOCK))
        packed.write(EMPTY_BLOCK * 2)


@contextmanager
def read_tar_zst(archive: Path, max_files: int, max_bytes: int) -> Iterator[Iterator[TarMember]]:
    """Read a ``.tar.zst`` from front to back.

    Args:
        archive: the file.
        max_files: maximum number of files; more are an error.
        max_bytes: not used; a member is never read beyond its claimed size, which the caller bounds.

    Raises:
        MissingExtraError: ``zstandard`` is not installed.
        BundleError: not such a file, truncated, or an entry is not a plain file.
    """
    del max_bytes
    zstandard = load("zstandard", purpose="a .tar.zst archive")
    try:
        with archive.open("rb") as raw:
            unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
            with unpacker.stream_reader(raw, closefd=False) as stream:
                yield _tar_members(stream, max_files)
    except (zstandard.ZstdError, OSError) as error:
        raise BundleError(f"not a readable zstd file: {_one_line(error)}") from error


def _tar_members(stream: IO[bytes], max_files: int) -> Iterator[TarMember]:
    for count in range(max_files + 1):
        block = _exactly(stream, BLOCK)
        if block == EMPTY_BLOCK:
            if count == 0:
                raise BundleError("it holds no files")
            _check_end(stream)
            return
        try:
            entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise BundleError(f"not a readable tar entry: {_one_line(error)}") from error
        if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise BundleError(f"{entry.name[:60]!r} is not a plain file (tar type {entry.type!r})")
        member = TarMember(entry.name, entry.size, stream)
        yield member
        while member.left:
            if not member.read(1 << 20):
                raise BundleError("it is truncated")
        _exactly(stream, -member.size % BLOCK)
    raise BundleError(f"it holds more than {max_files} files")


def _check_end(stream: IO[bytes]) -> None:
    """Read to the end of the zstd frame, where its checksum is compared; the manifest has no other."""
    padding = stream.read(MAX_PADDING + 1)
    while piece := stream.read(1):
        padding += piece
        if len(padding) > MAX_PADDING:
            break
    if len(padding) > MAX_PADDING or padding.strip(b"\0"):
        raise BundleError("there is data after the end of the tar archive")


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            raise BundleError("it is truncated")
        data += piece
    return data


def write_zip(stream: IO[bytes], files: list[Path]) -> None:
    """Write files as a deflated zip; times and owners are left out."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as packed:
        for path in files:
            entry = zipfile.ZipInfo(path.name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, packed.open(entry, "w") as target:
                while piece := source.read(1 << 20):
                    target.write(piece)


@contextmanager
def read_zip(archive: Path, max_files: int, max_bytes: int) -> Iterator[Iterator[ZipMember]]:
    """Read a ``.zip``.

    Args:
        archive: the file.
        max_files: maximum number of entries.
        max_bytes: maximum of the entries' claimed sizes together.

    Raises:
        BundleError: not such a file, truncated, beyond the limits, or an entry is not a plain file.
    """
    try:
        _check_directory(archive, max_files)
        with zipfile.ZipFile(archive) as packed:
            entries = packed.infolist()
            if sum(entry.file_size for entry in entries) > max_bytes:
                raise BundleError(f"its entries claim more than {max_bytes} bytes")
            # A member that was only partly read must not keep the file open.
            with closing(_zip_members(packed, entries)) as members:
                yield members
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        RuntimeError,
        struct.error,
        OSError,
    ) as error:
        raise BundleError(f"not a readable zip file: {_one_line(error)}") from error


def _zip_members(packed: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Generator[ZipMember, None, None]:
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir() or kind not in (0, stat.S_IFREG):
            raise BundleError(f"{entry.filename[:60]!r} is not a plain file")
        if entry.flag_bits & ENCRYPTED:
            raise BundleError(f"{entry.filename[:60]!r} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(f"{entry.filename[:60]!r} uses a compression method that is not supported")
        with packed.open(entry) as stream:
            yield ZipMember(entry.filename, entry.file_size, stream)


def _check_directory(archive: Path, max_files: int) -> None:
    """Bound what ``zipfile`` reads into memory: no comment, no zip64, a short directory."""
    tail_bytes = END_RECORD.size + ZIP64_LOCATOR_BYTES
    with archive.open("rb") as stream:
        stream.seek(max(archive.stat().st_size - tail_bytes, 0))
        tail = stream.read(tail_bytes)
    if len(tail) < END_RECORD.size:
        raise BundleError("it is too short for a zip file")
    magic, *counts, size, _, comment = END_RECORD.unpack(tail[-END_RECORD.size :])
    if magic != END_MAGIC or comment:
        raise BundleError("it does not end as a zip file does (truncated, or with a comment)")
    if tail[: -END_RECORD.size].startswith(ZIP64_LOCATOR_MAGIC):
        raise BundleError("it is a zip64 file, which a bundle never needs")
    if counts[3] > max_files or size > max_files * MAX_DIRECTORY_ENTRY:
        raise BundleError(f"its directory lists more than {max_files} files")


def _one_line(error: Exception) -> str:
    return one_line(error)
