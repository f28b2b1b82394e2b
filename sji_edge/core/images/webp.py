"""WebP files: the container's lengths are checked before libwebp decodes; the format has no checksum."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.images.header import DamagedImageError, ImageHeader, exif_orientation

MAGIC = b"RIFF"
ANIMATED = 0x02


def is_webp(data: bytes) -> bool:
    """Tell whether these bytes start as a WebP file does."""
    return data[:4] == MAGIC and data[8:12] == b"WEBP"


def read_header(data: bytes) -> ImageHeader:
    """Read a WebP's dimensions from its first chunk.

    Raises:
        DamagedImageError: a chunk leaves the file, or it is an animation.
    """
    if 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise DamagedImageError("it is truncated")
    size, orientation, place = (0, 0), 1, 12
    while place + 8 <= len(data):
        name, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        body = memoryview(data)[place + 8 : place + 8 + length]
        if len(body) < length:
            raise DamagedImageError("it is truncated")
        if name == b"VP8X" and body[0] & ANIMATED:
            raise DamagedImageError("it is an animation; one image per file is read")
        if name == b"VP8X":
            size = (1 + _number(body[4:7]), 1 + _number(body[7:10]))
        elif name == b"VP8 " and size == (0, 0):
            size = (_number(body[6:8]) & 0x3FFF, _number(body[8:10]) & 0x3FFF)
        elif name == b"VP8L" and size == (0, 0):
            packed = _number(body[1:5])
            size = (1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF))
        elif name == b"EXIF":
            orientation = exif_orientation(bytes(body).removeprefix(b"Exif\0\0"))
        place += 8 + length + length % 2
    return ImageHeader("WebP", *size, 3, 8, orientation)


def _number(part: memoryview) -> int:
    return int.from_bytes(part, "little")


def decode(data: bytes, header: ImageHeader) -> NDArray[np.generic]:
    """Decode to BGR or BGRA.

    Raises:
        DamagedImageError: libwebp failed.
    """
    del header
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DamagedImageError("its compressed data is damaged")
    return image
