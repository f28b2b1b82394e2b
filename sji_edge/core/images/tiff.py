"""TIFF files, decoded here: OpenCV's decoder returns an image even where strips are missing or damaged."""

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.images import tiff_header as tags
from sji_edge.core.images.header import DamagedImageError, ImageHeader
from sji_edge.core.images.lzw import unpack_image, unpack_strip
from sji_edge.core.images.tiff_header import Directory, blocks_of, read_directory

NONE, LZW, DEFLATE, OLD_DEFLATE, PACK_BITS = 1, 5, 8, 32946, 32773
NAMES = {
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    6: "JPEG",
    7: "JPEG",
    34712: "JPEG 2000",
    50000: "ZSTD",
    50001: "WebP",
}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = 0, 1, 2, 3
FORMATS = {2: "int", 3: "float"}
ROWS_AT_ONCE = 16


def read_header(data: bytes) -> ImageHeader:
    """Read a TIFF's directory.

    Raises:
        DamagedImageError: it is truncated, or holds samples that cannot be read.
    """
    directory = read_directory(data)
    bits = set(directory.tags.get(tags.BITS, (1,)))
    kind = directory.number(tags.SAMPLE_FORMAT, 1)
    if kind != 1:
        found = f"{FORMATS[kind]}{max(bits)}" if kind in FORMATS else "undefined"
        raise DamagedImageError(f"it has {found} samples; 8 or 16 bits unsigned can be read")
    if bits not in ({8}, {16}):
        found = ", ".join(str(number) for number in sorted(bits))
        raise DamagedImageError(f"its samples have {found} bits; 8 or 16 bits unsigned can be read")
    palette = directory.number(tags.PHOTOMETRIC, BLACK_IS_ZERO) == PALETTE
    channels = 3 if palette else directory.number(tags.SAMPLES, 1)
    orientation = directory.number(tags.ORIENTATION, 1)
    return ImageHeader(
        "TIFF",
        directory.number(tags.WIDTH),
        directory.number(tags.HEIGHT),
        channels,
        bits.pop(),
        orientation if 1 <= orientation <= 8 else 1,
        directory.pages,
    )


def decode(data: bytes, header: ImageHeader) -> NDArray[np.generic]:
    """Decode the first page to grey, BGR or BGRA, with the file's own depth.

    Raises:
        DamagedImageError: a strip is missing or damaged, or the compression or colour space is not supported.
    """
    directory = read_directory(data)
    colours = directory.number(tags.PHOTOMETRIC, BLACK_IS_ZERO)
    if colours not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE):
        raise DamagedImageError("its colours are neither grey, RGB nor a palette")
    samples = _samples(data, directory, header)
    if colours == WHITE_IS_ZERO:
        inverted: NDArray[np.generic] = np.invert(samples[:, :, 0])
        return inverted
    if colours == PALETTE:
        return _look_up(samples[:, :, 0], directory)
    if samples.shape[2] == 1:
        return np.ascontiguousarray(samples[:, :, 0])
    if colours == BLACK_IS_ZERO:
        # Grey with alpha.
        return np.ascontiguousarray(samples[:, :, 0])
    if samples.shape[2] < 3:
        raise DamagedImageError(f"it has {samples.shape[2]} colour channels; at least 3 are needed")
    return cv2.cvtColor(np.ascontiguousarray(samples[:, :, :3]), cv2.COLOR_RGB2BGR)


def _samples(data: bytes, directory: Directory, header: ImageHeader) -> NDArray[np.generic]:
    """Return the stored samples, ``(h, w, channels)``, in the machine's byte order."""
    stored = directory.number(tags.SAMPLES, 1)
    planes = stored if directory.number(tags.PLANAR, 1) == 2 else 1
    deep = stored // planes
    dtype = np.dtype(np.uint8 if header.bits == 8 else np.uint16)
    file_type = dtype.newbyteorder("<" if directory.order == "little" else ">")
    predicted = directory.number(tags.PREDICTOR, 1)
    if predicted not in (1, 2):
        raise DamagedImageError("its predictor is for floating-point samples")
    blocks = blocks_of(directory, len(data))
    if _is_plain_lzw(directory, planes, row := header.width * deep * dtype.itemsize):
        raw = unpack_image(data, blocks, row, header.height)
        pixels = raw.view(file_type).reshape(header.height, header.width, deep)
        native = pixels.astype(dtype, copy=False)
        return _sums_along_rows(native) if predicted == 2 else native
    out = np.empty((header.height, header.width, stored), dtype)
    view = memoryview(data)
    for block in blocks:
        count = block.height * block.width * deep
        packed = view[block.start : block.end]
        unpacked = _unpacked(packed, directory, count * dtype.itemsize)
        pixels = np.frombuffer(unpacked, file_type, count).reshape(block.height, block.width, deep)
        if predicted == 2:
            pixels = _sums_along_rows(pixels.astype(dtype, copy=False))
        bottom = min(block.top + block.height, header.height)
        right = min(block.left + block.width, header.width)
        target = out[block.top : bottom, block.left : right, block.plane : block.plane + deep]
        target[...] = pixels[: bottom - block.top, : right - block.left]
    return out


def _sums_along_rows(differences: NDArray[np.generic]) -> NDArray[np.generic]:
    """Undo TIFF's predictor: each sample is stored as its difference from the pixel to its left.

    Adds neighbours at distance 1, 2, 4, …, a few rows at a time so that they stay in the cache: twice as fast as
    ``np.cumsum``, which adds one sample after the other.

    Args:
        differences: unsigned, ``(h, w, channels)``.
    """
    height, width, channels = differences.shape
    flat = differences.reshape(height, width * channels)
    out = np.empty_like(flat)
    for top in range(0, height, ROWS_AT_ONCE):
        sums = flat[top : top + ROWS_AT_ONCE].copy()
        spare = np.empty_like(sums)
        step = channels
        while step < sums.shape[1]:
            spare[:, :step] = sums[:, :step]
            np.add(sums[:, step:], sums[:, :-step], out=spare[:, step:])
            sums, spare = spare, sums
            step *= 2
        out[top : top + ROWS_AT_ONCE] = sums
    return out.reshape(differences.shape)


def _is_plain_lzw(directory: Directory, planes: int, row: int) -> bool:
    """Tell whether OpenCV can decompress all strips at once."""
    return (
        directory.number(tags.COMPRESSION, NONE) == LZW
        and directory.number(tags.FILL_ORDER, 1) == 1
        and tags.TILE_OFFSETS not in directory.tags
        and planes == 1
        and row % 2 == 0
    )


def _unpacked(packed: memoryview, directory: Directory, size: int) -> bytes | memoryview:
    """Return the ``size`` bytes of a strip; more or fewer of them are damage."""
    compression = directory.number(tags.COMPRESSION, NONE)
    if compression != NONE and directory.number(tags.FILL_ORDER, 1) != 1:
        raise DamagedImageError("its bits are stored in reverse order, which is not supported")
    if compression == NONE:
        raw: bytes | memoryview = packed
        if len(raw) < size:
            raise DamagedImageError(f"a strip holds {len(raw)} of {size} bytes")
        return raw[:size]
    if compression in (DEFLATE, OLD_DEFLATE):
        raw = _inflated(packed, size)
    elif compression == LZW:
        raw = unpack_strip(bytes(packed), size)
    elif compression == PACK_BITS:
        raw = _unpacked_bits(bytes(packed), size)
    else:
        name = NAMES.get(compression, f"compression {compression}")
        raise DamagedImageError(f"it is compressed with {name}; LZW, Deflate, PackBits or none can be read")
    if len(raw) != size:
        raise DamagedImageError(f"a strip holds {len(raw)} bytes instead of {size}")
    return raw


def _inflated(packed: memoryview, size: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, size + 1)
    except zlib.error as error:
        raise DamagedImageError("the checksum or the data of a strip is wrong") from error
    if not inflater.eof:
        raise DamagedImageError("a compressed strip is incomplete")
    return raw


def _unpacked_bits(packed: bytes, size: int) -> bytes:
    out = bytearray()
    place = 0
    while place < len(packed) and len(out) < size:
        length = packed[place]
        if length < 128:
            out += packed[place + 1 : place + 2 + length]
            place += 2 + length
        else:
            if length > 128:
                out += packed[place + 1 : place + 2] * (257 - length)
            place += 2 if length > 128 else 1
    return bytes(out)


def _look_up(indices: NDArray[np.generic], directory: Directory) -> NDArray[np.generic]:
    colour_map = np.array(directory.tags.get(tags.COLOUR_MAP, ()), np.uint16)
    if indices.dtype != np.uint8 or colour_map.size != 3 * 256:
        raise DamagedImageError("its palette cannot be read")
    palette = (colour_map.reshape(3, 256)[::-1].T >> 8).astype(np.uint8)
    coloured: NDArray[np.uint8] = palette[indices]
    return coloured
