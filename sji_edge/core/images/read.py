"""Read an image file as uint8: bounded before it is decoded, refused when it is damaged.

This is the only place that decodes image files: datasets, streams and recipes call it. What a decoder would repair
is an error here, because a repaired image is not what the camera saw.
"""

import os
import stat
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError
from sji_edge.core.images import jpeg, png, tiff, uncompressed, webp
from sji_edge.core.images.header import DamagedImageError, ImageHeader
from sji_edge.core.images.quiet import quiet_opencv
from sji_edge.core.images.tiff_header import BIG_TIFF
from sji_edge.core.images.tiff_header import MAGIC as TIFF_MAGIC
from sji_edge.core.preprocess import Image, to_channels
from sji_edge.core.text import one_line, readable

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff",
    ".webp", ".pgm", ".ppm", ".pnm",
)  # fmt: skip
"""Suffixes, in lower case, of the formats that are read. JPEG 2000 is not: its decoder repairs damage silently."""

MAX_PIXELS = 200_000_000
"""Above the largest area cameras; a file may announce far more than the memory holds."""
MAX_FILE_BYTES = 1 << 30
MAX_BYTES_PER_PIXEL, MAX_OTHER_BYTES = 16, 16 << 20
"""A larger file than these allow for its pixels and for what else it holds, such as a preview, is no picture: a file
system that made a hole of it, or a bomb."""

OTHER_FORMATS = ((b"\0\0\0\x0cjP  ", "JPEG 2000"), (b"GIF8", "GIF"), (b"P1", "ASCII PNM"),
                 (b"P2", "ASCII PNM"), (b"P3", "ASCII PNM"))  # fmt: skip

READERS = {
    "JPEG": (jpeg.read_header, jpeg.decode),
    "PNG": (png.read_header, png.decode),
    "TIFF": (tiff.read_header, tiff.decode),
    "BMP": (uncompressed.read_bmp_header, uncompressed.decode_bmp),
    "WebP": (webp.read_header, webp.decode),
    "PNM": (uncompressed.read_pnm_header, uncompressed.decode_pnm),
}

NARROW_BITS = 13
"""16-bit samples that use this many bits or fewer look black (at most an eighth of full scale)."""
SENSOR_BITS = (8, 10, 12, 14)


def read_image(
    path: Path, colour: bool = True, bit_depth: int | None = 16, *, max_pixels: int = MAX_PIXELS
) -> Image:
    """Read an image file as uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``, turned upright; alpha is dropped.

    Args:
        path: the image file: PNG, JPEG, BMP, TIFF, WebP or binary PNM.
        colour: False turns colour into grey.
        bit_depth: how many bits of a 16-bit sample the camera uses (12 for Mono12); None if nobody declared it:
            full range then, and an image that leaves the upper bits unused is refused.
        max_pixels: a larger image is refused before it is decoded.

    Raises:
        DataError: not there, empty, truncated, damaged, too large, several pages, or no image.
    """
    name = readable(str(path))
    return decode_image(_content(path, name), name, colour, bit_depth=bit_depth, max_pixels=max_pixels)


def _content(path: Path, name: str) -> bytes:
    try:
        with open(path, "rb", opener=_open_at_once) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{name} is not a regular file", hint="remove it")
            if status.st_size > MAX_FILE_BYTES:
                raise DataError(f"{name} has {status.st_size} bytes; the limit is {MAX_FILE_BYTES}")
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror}") from error
    except MemoryError as error:
        raise DataError(f"{name} needs more memory than this machine has free") from error
    if not data:
        raise DataError(f"{name} is empty (0 bytes)", hint="remove it or copy it again")
    return data


def _open_at_once(path: str, flags: int) -> int:
    # A named pipe without a writer would wait for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode_image(
    data: bytes,
    name: str,
    colour: bool = True,
    bit_depth: int | None = 16,
    *,
    max_pixels: int = MAX_PIXELS,
) -> Image:
    """Decode an image file's bytes; see ``read_image``. ``name`` stands for it in errors."""
    header = read_header(data, name, max_pixels)
    if header.pages > 1:
        raise DataError(
            f"{name} holds {header.pages} pages; one image per file is read",
            hint="save each page as its own file",
        )
    if len(data) > header.width * header.height * MAX_BYTES_PER_PIXEL + MAX_OTHER_BYTES:
        raise _damaged(name, f"{len(data)} bytes are too many for {header.width}x{header.height} pixels")
    try:
        with quiet_opencv():
            image = READERS[header.kind][1](data, header)
        if image.shape[:2] != (header.height, header.width):
            raise _damaged(name, "its decoded size differs from its header")
        return as_uint8(upright(image, header.orientation), name, colour, bit_depth)
    except DamagedImageError as error:
        raise _damaged(name, error) from error
    except cv2.error as error:
        raise _damaged(name, f"OpenCV says {one_line(error)!r}") from error
    except MemoryError as error:
        raise DataError(f"{name} needs more memory than this machine has free") from error


def read_header(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Read what an image file says of itself, without decoding it.

    Raises:
        DataError: no image of a known format, a damaged header, or more than ``max_pixels``.
    """
    kind = _kind(data)
    if kind is None:
        raise DataError(
            f"{name} is not an image that can be decoded{_other_format(data)}",
            hint="remove it or copy it again",
        )
    try:
        header = READERS[kind][0](data)
    except DamagedImageError as error:
        raise _damaged(name, error) from error
    if min(header.width, header.height) <= 0:
        raise _damaged(name, "it has no pixels")
    if header.width * header.height > max_pixels:
        raise DataError(
            f"{name} has {header.width}x{header.height} pixels; the limit is {max_pixels / 1e6:g} million"
        )
    return header


def _kind(data: bytes) -> str | None:
    if data.startswith(png.MAGIC):
        return "PNG"
    if data.startswith(jpeg.MAGIC):
        return "JPEG"
    if data.startswith((*TIFF_MAGIC, *BIG_TIFF)):
        return "TIFF"
    if data.startswith(uncompressed.BMP_MAGIC):
        return "BMP"
    if webp.is_webp(data):
        return "WebP"
    return "PNM" if data.startswith(uncompressed.PNM_MAGIC) else None


def _other_format(data: bytes) -> str:
    found = next((name for magic, name in OTHER_FORMATS if data.startswith(magic)), "")
    return f": it is {found}; save it as PNG" if found else ""


def _damaged(name: str, why: object) -> DataError:
    text = str(why)
    if text == "it is truncated":
        return DataError(f"{name} is truncated", hint="copy it again or remove it")
    return DataError(f"{name} cannot be decoded: {text}", hint="copy it again or remove it")


def upright(image: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Rotate and flip an image according to its EXIF orientation; 1 leaves it unchanged."""
    turned = np.swapaxes(image, 0, 1) if orientation >= 5 else image
    across = orientation in (2, 3, 7, 6)
    down = orientation in (3, 4, 7, 8)
    turned = turned[:, ::-1] if across else turned
    turned = turned[::-1] if down else turned
    return np.ascontiguousarray(turned)


def as_uint8(
    image: NDArray[np.generic], name: str = "image", colour: bool = True, bit_depth: int | None = 16
) -> Image:
    """Bring samples to uint8 and channels to grey or BGR; see ``read_image``.

    Raises:
        DataError: a dtype other than uint8 and uint16, samples outside ``bit_depth``, or a channel count other
            than 1, 3 and 4.
    """
    if image.dtype == np.uint16:
        image = _eight_bits(image, name, bit_depth)
    elif image.dtype != np.uint8:
        raise DataError(f"{name} has {image.dtype} samples; 8 or 16 bits unsigned can be read")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 4:
        image = np.ascontiguousarray(image[:, :, :3])
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise DataError(f"{name} has shape {image.shape}; grey, BGR or BGRA can be read")
    result: Image = image  # type: ignore[assignment]
    return result if colour or result.ndim == 2 else to_channels(result, 1)


def _eight_bits(image: NDArray[np.generic], name: str, bit_depth: int | None) -> NDArray[np.generic]:
    used = bits_used(image)
    if bit_depth is None and 0 < used <= NARROW_BITS:
        likely = next(depth for depth in SENSOR_BITS if depth >= used)
        raise DataError(
            f"{name} uses {used} bits of its 16-bit samples; files that use {NARROW_BITS} bits or fewer look black",
            hint=f"set the bit depth to {likely} if the camera has {likely} bits, to 16 if the picture is that dark",
        )
    depth = bit_depth or 16
    top = (1 << depth) - 1
    if used > depth:
        raise DataError(
            f"{name} holds a sample of {int(image.max())}; the maximum for {depth} bits is {top}",
            hint="correct the bit depth",
        )
    return ((image.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)


def bits_used(image: NDArray[np.generic]) -> int:
    """Return how many bits the largest sample of a uint8 or uint16 image takes."""
    return int(image.max(initial=0)).bit_length()
