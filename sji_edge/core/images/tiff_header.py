"""The directory of a TIFF file: which pixels it holds, and where they lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sji_edge.core.images.header import DamagedImageError

MAGIC = (b"II*\0", b"MM\0*")
BIG_TIFF = (b"II+\0", b"MM\0+")
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR = (
    266,
    273,
    274,
    277,
    278,
    279,
    284,
)
PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 317, 320, 322, 323, 324, 325
SAMPLE_FORMAT = 339

SIZES = {1: 1, 3: 2, 4: 4}
"""Bytes of a value of each type that is used here: BYTE, SHORT and LONG."""
NO_PAGE = 0b101
"""Bits of the subfile type that mark a thumbnail or a mask."""
MAX_DIRECTORIES = 100_000

Order = Literal["little", "big"]
Tags = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Block:
    """One strip or tile: the bytes ``data[start:end]``, and the pixels that they become."""

    start: int
    end: int
    plane: int
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The first full-size image of a TIFF, and how many there are."""

    order: Order
    tags: Tags
    pages: int

    def number(self, tag: int, default: int = 0) -> int:
        """Return a tag's first value, or ``default`` where the tag is missing."""
        values = self.tags.get(tag, ())
        return values[0] if values else default


def read_directory(data: bytes) -> Directory:
    """Find the first full-size image, and count all of them.

    Raises:
        DamagedImageError: a directory lies outside the file, or there is none.
    """
    if data.startswith(BIG_TIFF):
        raise DamagedImageError("it is a BigTIFF, which is not supported; save it as TIFF or PNG")
    order: Order = "little" if data.startswith(b"II") else "big"
    pages: list[Tags] = []
    seen: set[int] = set()
    place = int.from_bytes(data[4:8], order)
    while place and place not in seen:
        if len(seen) >= MAX_DIRECTORIES:
            raise DamagedImageError(f"it has more than {MAX_DIRECTORIES} directories")
        seen.add(place)
        tags, place = _directory(data, place, order)
        if not (tags.get(SUBFILE) or (0,))[0] & NO_PAGE:
            pages.append(tags if not pages else {})
    if not pages:
        raise DamagedImageError("it holds no full-size image")
    return Directory(order, pages[0], len(pages))


def _directory(data: bytes, place: int, order: Order) -> tuple[dict[int, tuple[int, ...]], int]:
    count = int.from_bytes(data[place : place + 2], order)
    end = place + 2 + 12 * count
    if end + 4 > len(data):
        raise DamagedImageError("it is truncated")
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(place + 2, end, 12):
        tag = int.from_bytes(data[entry : entry + 2], order)
        size = SIZES.get(int.from_bytes(data[entry + 2 : entry + 4], order))
        length = int.from_bytes(data[entry + 4 : entry + 8], order)
        if size is None:
            continue
        start = entry + 8 if size * length <= 4 else int.from_bytes(data[entry + 8 : entry + 12], order)
        if start + size * length > len(data):
            raise DamagedImageError("it is truncated")
        tags[tag] = tuple(
            int.from_bytes(data[at : at + size], order) for at in range(start, start + size * length, size)
        )
    return tags, int.from_bytes(data[end : end + 4], order)


def blocks_of(directory: Directory, length: int) -> list[Block]:
    """List the strips or tiles of an image.

    Args:
        directory: the image's tags.
        length: the file's size in bytes.

    Raises:
        DamagedImageError: one is missing, empty, outside the file, or stored in the place of another.
    """
    tiled = TILE_OFFSETS in directory.tags
    image_width, image_height = directory.number(WIDTH), directory.number(HEIGHT)
    height = directory.number(TILE_HEIGHT) if tiled else directory.number(ROWS_PER_STRIP, image_height)
    width = directory.number(TILE_WIDTH) if tiled else image_width
    if min(width, height) <= 0:
        raise DamagedImageError("its strips or tiles have no size")
    height = height if tiled else min(height, image_height)
    planes = directory.number(SAMPLES, 1) if directory.number(PLANAR, 1) == 2 else 1
    places = [
        (plane, top, left)
        for plane in range(planes)
        for top in range(0, image_height, height)
        for left in range(0, image_width, width)
    ]
    starts = directory.tags.get(TILE_OFFSETS if tiled else STRIP_OFFSETS, ())
    sizes = directory.tags.get(TILE_BYTES if tiled else STRIP_BYTES, ())
    if not len(starts) == len(sizes) == len(places):
        what = "tiles" if tiled else "strips"
        raise DamagedImageError(
            f"it lists {min(len(starts), len(sizes))} {what}; its size needs {len(places)}"
        )
    if len(set(starts)) < len(starts):
        raise DamagedImageError("two of its strips or tiles are stored in the same place")
    blocks = []
    for start, size, (plane, top, left) in zip(starts, sizes, places, strict=True):
        if size == 0 or start == 0:
            raise DamagedImageError(f"the strip or tile at row {top} is missing")
        if start + size > length:
            raise DamagedImageError("it is truncated")
        rows = height if tiled else min(height, image_height - top)
        blocks.append(Block(start, start + size, plane, top, left, rows, width))
    return blocks
