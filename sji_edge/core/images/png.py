"""PNG files: each chunk's checksum is checked before libpng decodes."""

import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.images.header import DamagedImageError, ImageHeader, exif_orientation
from sji_edge.core.images.quiet import c_library_silenced

MAGIC = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""Channels of each PNG colour type; a palette is read as colour."""
PIECE = 1 << 20


def read_header(data: bytes) -> ImageHeader:
    """Read a PNG's dimensions from its first chunk; ``check`` looks at the others.

    Raises:
        DamagedImageError: the first chunk is not its header.
    """
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise DamagedImageError("it has no header chunk")
    _compare_checksum(data, 16, 16 + int.from_bytes(data[8:12], "big"))
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return ImageHeader("PNG", width, height, CHANNELS.get(data[25], 0), data[24], _orientation(data))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's type, and where its content starts and ends."""
    place = len(MAGIC)
    while place + 12 <= len(data):
        start = place + 8
        end = start + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            return
        yield data[place + 4 : start], start, end
        place = end + 4


def _compare_checksum(data: bytes, start: int, end: int) -> None:
    stored = int.from_bytes(data[end : end + 4], "big")
    if zlib.crc32(memoryview(data)[start - 4 : end]) != stored:
        name = data[start - 4 : start].decode("ascii", "replace")
        raise DamagedImageError(f"the checksum of its chunk {name} is wrong")


def _orientation(data: bytes) -> int:
    for name, start, end in _chunks(data):
        if name == b"eXIf":
            return exif_orientation(data[start:end])
    return 1


def check(data: bytes) -> None:
    """Check every chunk's CRC-32, and that the file is complete.

    Raises:
        DamagedImageError: a wrong checksum, a missing end, or an animation.
    """
    pixels, ended = 0, False
    for name, start, end in _chunks(data):
        _compare_checksum(data, start, end)
        if name == b"acTL":
            raise DamagedImageError("it is an animation; one image per file is read")
        pixels += end - start if name == b"IDAT" else 0
        ended = name == b"IEND"
        if ended:
            break
    if not ended:
        raise DamagedImageError("it is truncated")
    if not pixels:
        raise DamagedImageError("it holds no image data")


def decode(data: bytes, header: ImageHeader) -> NDArray[np.generic]:
    """Check and decode to the file's own channels and depth.

    libpng only warns where the compressed data is damaged behind the last pixel that it needs, so its data is
    decompressed once more whenever it wrote something.

    Raises:
        DamagedImageError: a wrong checksum, or damaged compressed data.
    """
    check(data)
    with c_library_silenced() as said_something:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DamagedImageError("its compressed data is damaged")
    if said_something():
        check_stream(data, header)
    return image


def check_stream(data: bytes, header: ImageHeader) -> None:
    """Decompress all image data, and drop it.

    Raises:
        DamagedImageError: it is damaged, incomplete, or more than twice what the image needs.
    """
    most = 2 * header.height * (header.width * header.channels * 2 + 8) + PIECE
    inflater, length = zlib.decompressobj(), 0
    try:
        for name, start, end in _chunks(data):
            packed = data[start:end] if name == b"IDAT" else b""
            while packed and length <= most:
                length += len(inflater.decompress(packed, PIECE))
                packed = inflater.unconsumed_tail
    except zlib.error as error:
        raise DamagedImageError("its compressed data is damaged") from error
    if not inflater.eof or inflater.unused_data:
        raise DamagedImageError("its compressed data is damaged")
