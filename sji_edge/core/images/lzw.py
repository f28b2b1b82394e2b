"""LZW as TIFF uses it."""

import struct
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.images.header import DamagedImageError
from sji_edge.core.images.quiet import quiet_opencv
from sji_edge.core.images.tiff_header import Block

CLEAR, END, FIRST = 256, 257, 258


def unpack_image(data: bytes, strips: Sequence[Block], row: int, height: int) -> NDArray[np.uint8]:
    """Decompress all strips of an image whose rows have an even number of bytes.

    OpenCV reads them as 16-bit samples: only for those does it say when the data is damaged, and it is a hundred
    times faster than Python.

    Args:
        data: the whole file.
        strips: where they lie in it.
        row: how many bytes one row has.
        height: rows of the image.

    Returns:
        uint8 ``(height, row)``.

    Raises:
        DamagedImageError: invalid or missing codes.
    """
    count, place = len(strips), len(data) + len(data) % 2
    offsets, sizes = (8 + place, 8 + place + 4 * count) if count > 1 else (0, 0)
    lists = struct.pack(f"<{count}I", *(8 + strip.start for strip in strips))
    lists += struct.pack(f"<{count}I", *(strip.end - strip.start for strip in strips))
    entries = {256: row // 2, 257: height, 258: 16, 259: 5, 262: 1, 273: offsets, 277: 1, 278: strips[0].height,
               279: sizes, 339: 1}  # fmt: skip
    if count == 1:
        entries |= {273: 8 + strips[0].start, 279: strips[0].end - strips[0].start}
    directory = struct.pack("<H", len(entries))
    for tag, value in entries.items():
        directory += struct.pack("<HHII", tag, 4, count if tag in (273, 279) else 1, value)
    head = struct.pack("<4sI", b"II*\0", 8 + place + len(lists))
    whole = b"".join((head, data, bytes(len(data) % 2), lists, directory, bytes(4)))
    with quiet_opencv():
        image = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.nbytes != height * row:
        raise DamagedImageError("the codes of a compressed strip are invalid or missing")
    return image.view(np.uint8)


def unpack_strip(packed: bytes, size: int) -> bytes:
    """Decompress one strip or tile in Python, to ``size`` bytes.

    Raises:
        DamagedImageError: invalid or missing codes.
    """
    single = [bytes((value,)) for value in range(256)] + [b"", b""]
    table, out, length = list(single), [], 0
    bits, held, width, place = 0, 0, 9, 0
    last = b""
    while length < size:
        while held < width:
            if place >= len(packed):
                raise DamagedImageError("the codes of a compressed strip are missing")
            bits, held, place = (bits << 8 | packed[place]) & 0xFFFFFF, held + 8, place + 1
        held -= width
        code = bits >> held & (1 << width) - 1
        if code == CLEAR:
            table, width, last = list(single), 9, b""
            continue
        if code == END:
            break
        if code < len(table):
            entry = table[code]
        elif code == len(table) and last:
            entry = last + last[:1]
        else:
            raise DamagedImageError("a code of a compressed strip is invalid")
        if last:
            table.append(last + entry[:1])
            width = 9 if len(table) < 511 else 10 if len(table) < 1023 else 11 if len(table) < 2047 else 12
        out.append(entry)
        length += len(entry)
        last = entry
    if length != size:
        raise DamagedImageError(f"a compressed strip holds {length} bytes instead of {size}")
    return b"".join(out)
