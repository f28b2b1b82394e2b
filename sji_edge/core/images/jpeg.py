"""JPEG files: decoded by libjpeg-turbo in a mode where each of its warnings is an error.

OpenCV decodes with the same library, ignores its warnings, and returns an image whose lost parts were filled in.
JPEG has no checksum: damage that happens to form valid codes cannot be detected by any decoder.
"""

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from sji_edge.core.images.header import DamagedImageError, ImageHeader, exif_orientation

MAGIC = b"\xff\xd8"
START_OF_SCAN, HUFFMAN_TABLES, EXIF = 0xDA, 0xC4, 0xE1
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SEQUENTIAL = frozenset({0xC0, 0xC1})
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})

MAX_SCANS = 100
"""A progressive JPEG has about ten scans. The decoder goes over the whole image for each, so that a small file with
thousands of them keeps it busy for minutes."""

LOST = bytes(48)
"""A run of this many zero bytes is a lost block: as codes it would be six blocks full of the same coefficient."""


def read_header(data: bytes) -> ImageHeader:
    """Read a JPEG's markers up to its first scan.

    Raises:
        DamagedImageError: no image, more than ``MAX_SCANS`` scans, or sequential data with a block of zero bytes.
    """
    place, orientation, frame, marker_of_frame, zeros_are_codes = 2, 1, b"", 0, False
    while True:
        place = data.find(b"\xff", place)
        while 0 <= place < len(data) - 1 and data[place + 1] == 0xFF:
            place += 1
        if place < 0 or place + 4 > len(data):
            raise DamagedImageError("it ends before its image data")
        marker = data[place + 1]
        if marker in WITHOUT_LENGTH:
            place += 2
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        body = data[place + 4 : end]
        if marker in START_OF_FRAME and not frame:
            frame, marker_of_frame = body, marker
        elif marker == HUFFMAN_TABLES:
            zeros_are_codes |= _zeros_end_blocks(body)
        elif marker == EXIF and body.startswith(b"Exif\0\0"):
            orientation = exif_orientation(body[6:])
        elif marker == START_OF_SCAN:
            break
        place = end
    if len(frame) < 6:
        raise DamagedImageError("it has no frame header")
    # If the first scan holds all components of a sequential image, there is no other.
    if marker_of_frame not in SEQUENTIAL or body[:1] != frame[5:6]:
        scans = 1 + data.count(bytes((0xFF, START_OF_SCAN)), end)
        if scans > MAX_SCANS:
            raise DamagedImageError(f"it has {scans} scans; at most {MAX_SCANS} are decoded")
    if marker_of_frame in SEQUENTIAL and not zeros_are_codes and data.find(LOST, end) >= 0:
        raise DamagedImageError("a block of its image data is zero")
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return ImageHeader("JPEG", width, height, frame[5], frame[0], orientation)


def _zeros_end_blocks(tables: bytes) -> bool:
    """Tell whether an AC table's all-zero code ends a block: then a flat image is a run of zeros."""
    place = 0
    while place + 17 < len(tables):
        if tables[place] >> 4 and tables[place + 17] == 0:
            return True
        place += 17 + sum(tables[place + 1 : place + 17])
    return False


def decode(data: bytes, header: ImageHeader) -> NDArray[np.generic]:
    """Decode to grey ``(h, w)`` or BGR ``(h, w, 3)``.

    Raises:
        DamagedImageError: libjpeg-turbo warned or failed.
    """
    try:
        if header.channels == 4:
            # Four inks: the strict decoder checks them, OpenCV converts them.
            simplejpeg.decode_jpeg(data, "CMYK", strict=True)
            inks = cv2.imdecode(
                np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            )
            if inks is None:
                raise DamagedImageError("its four channels cannot be converted")
            return inks
        image = simplejpeg.decode_jpeg(data, "GRAY" if header.channels == 1 else "BGR", strict=True)
    except ValueError as error:
        raise DamagedImageError(_reason(str(error))) from error
    pixels: NDArray[np.uint8] = image[:, :, 0] if header.channels == 1 else image
    return pixels


def _reason(text: str) -> str:
    return f"the JPEG decoder says {text!r}" if text else "the JPEG decoder failed"
