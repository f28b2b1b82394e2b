"""Prepares pictures of a code's area, so that a code that is turned, dim or unevenly lit can be read."""

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image, Matrix
from sji_edge.recipe.codes.area import Area

SIDE_PX = 300
"""Longer side of the pictures of a matrix code: a symbol of 20 modules has about 10 pixels for each."""
BARS_PX = 400
"""Longer side of the pictures of a bar code, before its rows are averaged."""
FINER = 3
"""Columns of a bar code's profile for each pixel of its picture."""
BANDS = 8

Floats = NDArray[np.float32]


def cut_area(frame: Image, area: Area, to_frame: Matrix, longer_px: int) -> Image:
    """Cut an area from a frame.

    Args:
        frame: uint8 grey ``(h, w)``.
        area: the box, in recipe pixels.
        to_frame: from recipe to frame pixels, float64 ``(2, 3)``.
        longer_px: length of the picture's longer side.

    Returns:
        uint8 grey; beyond the frame, edge pixels are repeated.
    """
    scale = longer_px / max(area.width, area.height)
    # A coarser picture is averaged from one with the frame's own pixels, so that no module is skipped.
    cut_scale = max(scale, 1.0)
    width, height = (max(8, round(side * cut_scale)) for side in (area.width, area.height))
    corner, right, _, down = (np.array(point) for point in area.corners())
    steps = np.column_stack([(right - corner) / width, (down - corner) / height])
    origin = corner + steps @ (0.5, 0.5)
    carried = np.column_stack([to_frame[:, :2] @ steps, to_frame[:, :2] @ origin + to_frame[:, 2]])
    how = cv2.INTER_CUBIC if scale > 1.0 else cv2.INTER_LINEAR
    cut = cv2.warpAffine(
        frame, carried, (width, height), flags=how | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    if scale < 1.0:
        cut = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cut.astype(np.uint8, copy=False)


def matrix_pictures(area: Image) -> Iterator[tuple[Image, bool]]:
    """Yield pictures of a matrix code and whether one threshold should serve the whole of it, the best first.

    Args:
        area: uint8 grey, about ``SIDE_PX`` long.
    """
    yield area, False
    yield cv2.resize(area, None, fx=0.67, fy=0.67, interpolation=cv2.INTER_AREA).astype(np.uint8), False
    yield area, True
    upright = turned(area, main_angle(area, folds=4))
    yield upright, False
    even = evened(area)
    yield even, False
    yield cv2.morphologyEx(even, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.uint8), False
    yield evened(upright), False
    yield sharpened(even), True
    yield sharpened(even), False


def bar_profiles(rows: Floats, bands: int, sharpen: float) -> Iterator[Image]:
    """Yield the bars of a bar code as seen in each of some bands that share no row.

    Args:
        rows: of ``bar_rows``.
        bands: number of bands.
        sharpen: strength of the sharpening across the bars; 0 for none.

    Yields:
        uint8 ``(6, columns)``: one band's mean, stretched to full contrast, in equal rows.
    """
    edges = np.linspace(0, len(rows), min(bands, max(1, len(rows) // 3)) + 1).astype(int)
    for top, bottom in pairwise(edges.tolist()):
        profile = rows[top:bottom].mean(axis=0, dtype=np.float32)[None]
        profile = cv2.resize(profile, None, fx=FINER, fy=1, interpolation=cv2.INTER_CUBIC)
        span = max(31, profile.shape[1] // 10) | 1
        kernel = np.ones((1, span), np.uint8)
        light = cv2.blur(cv2.dilate(profile, kernel), (span, 1))
        dark = cv2.blur(cv2.erode(profile, kernel), (span, 1))
        full = (profile - dark) / np.maximum(light - dark, 8.0) * 255.0
        if sharpen:
            full = full + sharpen * (full - cv2.GaussianBlur(full, (0, 0), 2.0 * FINER))
        yield np.repeat(np.clip(full, 0, 255).astype(np.uint8), 6, axis=0)


def bar_rows(area: Image) -> Floats:
    """Turn a bar code upright and return the rows that show its bars, float32 ``(rows, columns)``.

    These are the rows with at least 40 % of the usual change from column to column.

    Args:
        area: uint8 grey, about ``BARS_PX`` long.
    """
    rows = turned(area, main_angle(area, folds=2)).astype(np.float32)
    change = np.abs(cv2.Sobel(cv2.GaussianBlur(rows, (0, 0), 1.0), cv2.CV_32F, 1, 0)).mean(axis=1)
    change = cv2.blur(change[:, None], (1, 9)).ravel()
    busy = np.flatnonzero(change >= 0.4 * np.percentile(change, 95))
    return rows[busy[0] : busy[-1] + 1]


def main_angle(picture: Image, folds: int) -> float:
    """Return the main direction of the edges' gradients in radians, from the structure tensor.

    Args:
        picture: uint8 grey.
        folds: directions that count as the same in a full turn: 2 for bars, 4 for squares.
    """
    # At half the size: an angle needs no fine detail.
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)
    across, down = cv2.Sobel(half, cv2.CV_32F, 1, 0), cv2.Sobel(half, cv2.CV_32F, 0, 1)
    strength = across**2 + down**2 + 1e-6
    # The edge of a label is stronger than a code's, and must not outweigh it.
    weight = np.minimum(strength, np.percentile(strength, 90)) / strength
    cos, sin = across**2 - down**2, 2 * across * down
    if folds == 4:
        cos, sin = (cos**2 - sin**2) / strength, 2 * cos * sin / strength
    return float(np.arctan2((weight * sin).sum(), (weight * cos).sum())) / folds


def turned(picture: Image, angle_rad: float) -> Image:
    """Turn a picture so that this direction points along x; the corners stay inside."""
    height, width = picture.shape
    side = int(np.hypot(height, width))
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.array([[cos, -sin], [sin, cos]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    carried = np.column_stack([turn, middle - turn @ np.full(2, (side - 1) / 2)])
    return cv2.warpAffine(
        picture,
        carried,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.uint8, copy=False)


def evened(picture: Image) -> Image:
    """Remove uneven light: every neighbourhood, a third of the picture wide, gets the same mean and contrast."""
    span = max(9, min(picture.shape) // 3) | 1
    values = picture.astype(np.float32)
    mean = cv2.boxFilter(values, -1, (span, span), borderType=cv2.BORDER_REFLECT)
    mean = cv2.boxFilter(mean, -1, (span // 2 | 1, span // 2 | 1), borderType=cv2.BORDER_REFLECT)
    difference = values - mean
    variance = cv2.boxFilter(difference**2, -1, (span, span), borderType=cv2.BORDER_REFLECT)
    # Running sums may end a hair below 0.
    spread = np.sqrt(np.maximum(variance, 0.0)) + 4.0
    return np.clip(128.0 + 70.0 * difference / spread, 0, 255).astype(np.uint8)


def sharpened(picture: Image) -> Image:
    """Sharpen a picture with an unsharp mask of 2.5 pixels."""
    values = picture.astype(np.float32)
    return np.clip(values + 1.5 * (values - cv2.GaussianBlur(values, (0, 0), 2.5)), 0, 255).astype(np.uint8)
