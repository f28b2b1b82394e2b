"""Cuts joints out of a frame with the margin around them, as the camera saw them."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image, Matrix
from sji_edge.pool.rows import Box

MAX_TILT_PX = 1.0
"""A box whose corners lie no further than this from an upright box's is cut without resampling."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A picture of a joint, uint8 grey ``(h, w)`` or BGR ``(h, w, 3)``, and the joint's box in it."""

    pixels: Image
    box: Box


def cut_joint(frame: Image, crop_map: Matrix, spec: PreprocessSpec, margin: float) -> Cut:
    """Cut one joint with the margin around it, upright as the model sees it, at the frame's own resolution.

    An upright box is cut pixel by pixel, so that nothing is resampled before the model's own resampling; so is one that
    is turned by a multiple of 90 degrees. Any other box is resampled once, bilinearly, at one frame pixel per pixel.

    Args:
        frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``.
        crop_map: from the crop of ``spec`` to frame pixels, float64 ``(2, 3)``, of a joint within the frame.
        spec: the crop that the map belongs to.
        margin: how much of the box's width and height to keep on each side; less where the frame ends.
    """
    centre = crop_map @ np.array([(spec.width - 1) / 2, (spec.height - 1) / 2, 1.0])
    width = math.hypot(*crop_map[:, 0]) * spec.width
    height = math.hypot(*crop_map[:, 1]) * spec.height
    angle = math.atan2(crop_map[1, 0], crop_map[0, 0])
    quarters = round(angle / (math.pi / 2))
    tilt = abs(angle - quarters * math.pi / 2)
    if tilt * math.hypot(width, height) / 2 > MAX_TILT_PX:
        return _resampled(frame, centre, (width, height), angle, margin)
    return _upright(frame, centre, (width, height), quarters % 4, margin)


def _upright(frame: Image, centre: Matrix, size: tuple[float, float], quarters: int, margin: float) -> Cut:
    width, height = size if quarters % 2 == 0 else size[::-1]
    # Pixel centres are at whole numbers, so the left edge of pixel 0 is at -0.5.
    left, top = centre[0] - width / 2 + 0.5, centre[1] - height / 2 + 0.5
    x0, y0 = max(0, round(left - margin * width)), max(0, round(top - margin * height))
    x1 = min(frame.shape[1], round(left + width + margin * width))
    y1 = min(frame.shape[0], round(top + height + margin * height))
    pixels = frame[y0:y1, x0:x1]
    x, y = left - x0, top - y0
    for _ in range(quarters):
        # One turn of np.rot90: the picture's right edge becomes its top.
        x, y, width, height = y, pixels.shape[1] - x - width, height, width
        pixels = np.rot90(pixels)
    return Cut(np.ascontiguousarray(pixels), Box(float(x), float(y), float(width), float(height)))


def _resampled(frame: Image, centre: Matrix, size: tuple[float, float], angle: float, margin: float) -> Cut:
    width, height = size
    around = round(margin * width), round(margin * height)
    whole = round(width) + 2 * around[0], round(height) + 2 * around[1]
    cos, sin = math.cos(angle), math.sin(angle)
    turned = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    turned[:, 2] = centre - turned[:, :2] @ np.array([(whole[0] - 1) / 2, (whole[1] - 1) / 2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    pixels = cv2.warpAffine(frame, turned, whole, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    box = Box((whole[0] - width) / 2, (whole[1] - height) / 2, width, height)
    return Cut(pixels.astype(np.uint8, copy=False), box)


def box_of(pixels: Image, box: Box, margin: float = 0.0) -> Image:
    """Return what lies in a joint's box, rounded to whole pixels.

    Args:
        pixels: a picture of a pool.
        box: the joint's box in it.
        margin: how much of the box's width and height to add on each side, as far as the picture reaches.
    """
    x0, y0 = max(0, round(box.x - margin * box.width)), max(0, round(box.y - margin * box.height))
    x1 = min(pixels.shape[1], round(box.x + box.width * (1 + margin)))
    y1 = min(pixels.shape[0], round(box.y + box.height * (1 + margin)))
    return pixels[y0:y1, x0:x1]
