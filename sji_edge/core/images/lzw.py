"""LZW as TIFF uses it."""

import struct

import cv2
import numpy as np

from sji_edge.core.images.header import DamagedImageError
from sji_edge.core.images.quiet import quiet_opencv

CLEAR, END, FIRST = 256, 257, 258


def unpack_lzw(packed: bytes, size: int, row: int) -> bytes:
    """Decompress one strip.

    Strips with an even number of bytes per row go through OpenCV as 16-bit samples: only for those does it say
    when the data is damaged, and it is a hundred times faster than Python.

    Args:
        packed: the compressed bytes.
        size: how many bytes they become.
        row: how many bytes one row has.

    Raises:
        DamagedImageError: invalid or missing codes.
    """
    if not packed.startswith(b"\x80"):
        raise DamagedImageError("a compressed strip does not start with a clear code")
    return _by_opencv(packed, size, row) if row % 2 == 0 else _by_python(packed, size)


def _by_opencv(packed: bytes, size: int, row: int) -> bytes:
    rows = size // row
    entries = {
        256: row // 2,
        257: rows,
        258: 16,
        259: 5,
        262: 1,
        273: 8,
        277: 1,
        278: rows,
        279: len(packed),
        339: 1,
    }
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    padded = packed + bytes(len(packed) % 2)
    data = struct.pack("<4sI", b"II*\0", 8 + len(padded)) + padded + directory + bytes(4)
    with quiet_opencv():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.nbytes != size:
        raise DamagedImageError("the codes of a compressed strip are invalid or missing")
    return image.tobytes()


def _by_python(packed: bytes, size: int) -> bytes:
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
        raise DamagedImageError(f"a compressed strip holds {length} bytes, {size} were announced")
    return b"".join(out)
