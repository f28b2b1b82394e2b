"""BMP and PNM files: their size follows from the header, so a short file is found before it is decoded."""

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.images.header import DamagedImageError, ImageHeader

BMP_MAGIC = b"BM"
BMP_PLAIN = frozenset({0, 3, 6})
"""Compression codes without compression: RGB and bit fields."""

PNM_MAGIC = (b"P5", b"P6")
PNM_HEADER = re.compile(
    rb"P[56](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,5})\s"
)


def read_bmp_header(data: bytes) -> ImageHeader:
    """Read a BMP's dimensions.

    Raises:
        DamagedImageError: run-length compression, or fewer bytes than the dimensions need.
    """
    if len(data) < 26:
        raise DamagedImageError("it is truncated")
    offset, size = int.from_bytes(data[10:14], "little"), int.from_bytes(data[14:18], "little")
    if size == 12:
        width, height, bits, compression = *_shorts(data, 18), int.from_bytes(data[24:26], "little"), 0
    else:
        width = int.from_bytes(data[18:22], "little", signed=True)
        height = abs(int.from_bytes(data[22:26], "little", signed=True))
        bits, compression = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
    if compression not in BMP_PLAIN:
        raise DamagedImageError("it is a compressed BMP, which cannot be checked for damage; save it as PNG")
    if offset + (width * bits + 31) // 32 * 4 * height > len(data):
        raise DamagedImageError("it is truncated")
    channels = {32: 4, 24: 3, 16: 3}.get(bits, 3)
    return ImageHeader("BMP", width, height, channels, 8)


def _shorts(data: bytes, place: int) -> tuple[int, int]:
    return int.from_bytes(data[place : place + 2], "little"), int.from_bytes(
        data[place + 2 : place + 4], "little"
    )


def decode_bmp(data: bytes, header: ImageHeader) -> NDArray[np.generic]:
    """Decode a BMP.

    Raises:
        DamagedImageError: OpenCV cannot.
    """
    del header
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DamagedImageError("it is not a BMP that can be decoded")
    return image


def read_pnm_header(data: bytes) -> ImageHeader:
    """Read the dimensions of a binary PGM or PPM.

    Raises:
        DamagedImageError: an odd header, or fewer bytes than the dimensions need.
    """
    found = PNM_HEADER.match(data[:4096])
    if found is None:
        raise DamagedImageError("its header cannot be read")
    width, height, full = (int(number) for number in found.groups())
    channels = 1 if data[:2] == b"P5" else 3
    if not 0 < full <= 0xFFFF:
        raise DamagedImageError(f"its largest sample value is {full}; 1 to 65535 is allowed")
    wide = 1 if full < 256 else 2
    if found.end() + width * height * channels * wide > len(data):
        raise DamagedImageError("it is truncated")
    return ImageHeader("PNM", width, height, channels, full.bit_length())


def decode_pnm(data: bytes, header: ImageHeader) -> NDArray[np.generic]:
    """Decode a binary PGM or PPM; samples are scaled from the maximum that its header declares."""
    found = PNM_HEADER.match(data[:4096])
    if found is None:
        raise DamagedImageError("its header cannot be read")
    full = int(found[3])
    count = header.width * header.height * header.channels
    samples = np.frombuffer(data, np.uint8 if full < 256 else ">u2", count, found.end())
    if full not in (255, 65535):
        if int(samples.max(initial=0)) > full:
            raise DamagedImageError(f"a sample is above its declared maximum of {full}")
        samples = ((samples.astype(np.uint32) * 255 + full // 2) // full).astype(np.uint8)
    elif full == 65535:
        samples = samples.astype(np.uint16)
    if header.channels == 1:
        return samples.reshape(header.height, header.width).copy()
    return cv2.cvtColor(samples.reshape(header.height, header.width, 3), cv2.COLOR_RGB2BGR)
