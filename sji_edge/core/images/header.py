"""What an image file's header says, whatever its format."""

from dataclasses import dataclass


class DamagedImageError(ValueError):
    """The file's bytes are damaged, or use a feature that cannot be read. Its text says what, without the name."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The facts that are known before an image is decoded.

    ``orientation`` is the EXIF value, 1 to 8: 1 means that the pixels are stored upright. ``bits`` is the size
    of a stored sample. ``pages`` counts the full-size images in the file.
    """

    kind: str
    width: int
    height: int
    channels: int
    bits: int
    orientation: int = 1
    pages: int = 1


EXIF_ORIENTATION = 0x0112


def exif_orientation(tiff: bytes) -> int:
    """Return the orientation that an EXIF block gives, or 1 where it gives none.

    Args:
        tiff: the block from its byte-order mark (``II`` or ``MM``) on.
    """
    if tiff[:2] not in (b"II", b"MM"):
        return 1
    order = "little" if tiff[:2] == b"II" else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], order)  # type: ignore[arg-type]

    table = number(4, 4)
    for entry in range(table + 2, min(table + 2 + 12 * number(table, 2), len(tiff) - 11), 12):
        if number(entry, 2) == EXIF_ORIENTATION:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
