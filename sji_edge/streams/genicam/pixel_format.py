"""Turns a machine-vision camera's bytes into an image, by GenICam's pixel format names and codes."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError

NAME_OF_CODE = {
    0x01080001: "Mono8",
    0x01100003: "Mono10",
    0x01100005: "Mono12",
    0x01100007: "Mono16",
    0x01080008: "BayerGR8",
    0x01080009: "BayerRG8",
    0x0108000A: "BayerGB8",
    0x0108000B: "BayerBG8",
    0x02180014: "RGB8",
    0x02180015: "BGR8",
    0x02200016: "RGBa8",
    0x02200017: "BGRa8",
}
UNUSED_BITS = {"Mono10": 6, "Mono12": 4, "Mono16": 0}
TO_BGR = {
    # OpenCV names a mosaic by the four pixels of its first two rows, GenICam by the first two pixels.
    "BayerRG8": cv2.COLOR_BayerRGGB2BGR,
    "BayerGR8": cv2.COLOR_BayerGRBG2BGR,
    "BayerGB8": cv2.COLOR_BayerGBRG2BGR,
    "BayerBG8": cv2.COLOR_BayerBGGR2BGR,
    "RGB8": cv2.COLOR_RGB2BGR,
    "RGBa8": cv2.COLOR_RGBA2BGR,
    "BGRa8": cv2.COLOR_BGRA2BGR,
}
CHANNELS = {"RGB8": 3, "BGR8": 3, "RGBa8": 4, "BGRa8": 4}


def image_of(data: NDArray[np.uint8], width: int, height: int, pixel_format: str) -> NDArray[np.generic]:
    """Build an image from a frame's bytes.

    Args:
        data: uint8 ``(n,)``; anything after the image, such as chunk data, is ignored.
        width: in pixels.
        height: in pixels.
        pixel_format: a name of ``NAME_OF_CODE``.

    Returns:
        A copy: grey ``(height, width)`` as uint8, or as uint16 brought to the full range; or uint8 BGR
        ``(height, width, 3)``.

    Raises:
        DataError: another pixel format, or too few bytes.
    """
    if pixel_format not in NAME_OF_CODE.values():
        known = ", ".join(NAME_OF_CODE.values())
        raise DataError(f"the camera sends {pixel_format}; supported are {known}")
    channels = CHANNELS.get(pixel_format, 1)
    wide = pixel_format in UNUSED_BITS
    wanted = width * height * channels * (2 if wide else 1)
    if data.size < wanted or wanted == 0:
        raise DataError(f"the frame has {data.size} bytes; {width}x{height} {pixel_format} needs {wanted}")
    if wide:
        samples = data[:wanted].view("<u2").reshape(height, width)
        return samples << UNUSED_BITS[pixel_format]
    shape = (height, width) if channels == 1 else (height, width, channels)
    image = data[:wanted].reshape(shape)
    if pixel_format in TO_BGR:
        return cv2.cvtColor(image, TO_BGR[pixel_format])
    return image.copy()
