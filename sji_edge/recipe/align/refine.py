"""Measure each joint's own shift against golden: parts may lie a pixel or two off, which fiducials do not show.

The surroundings of each joint are phase-correlated with golden's, all joints in one batch of FFTs. A joint is located
by its outline: the centre of its box gets no weight, because glints move with the shape of the solder, and edge
strength saturates, so that a strong edge counts no more than a plain one. A Gaussian weight over the frequencies makes
the peak Gaussian, and a parabola through its logarithm gives fractions of a pixel (C. D. Kuglin and D. C. Hines, "The
phase correlation image alignment method", 1975).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image, Matrix, crops_of_frame, crops_to_image, outside_frame
from sji_edge.recipe.limits import Refinement

PATCH_PX = 64
SURROUNDINGS = 1.25
"""Size of the compared area, in sizes of the joint's box."""
PEAK_PX = 1.2
"""Standard deviation of the peak, in patch pixels."""
EDGE_LEVELS = 10.0
"""Gradient in grey levels per patch pixel at which an edge counts half."""
FLAT_SHARE, HOLE_SHARE = 0.8, 0.5
"""Where the window begins to fall off, and the width of its hole, in halves of a patch."""
MIN_LEVELS = 4.0
"""Standard deviation in grey levels below which a joint has too little texture."""
MIN_PEAK = 0.45
"""Minimum peak height; 1 is that of a joint identical to golden's."""
SHARE_OF_PITCH = 0.25
"""Maximum shift of a joint, as a share of the distance to its nearest neighbour."""


def _window() -> NDArray[np.float32]:
    """Return the weights of a patch's pixels: 1 on a ring, 0 in the centre and at the rim."""
    place = np.linspace(-1, 1, PATCH_PX)
    fall = np.clip((np.abs(place) - FLAT_SHARE) / (1 - FLAT_SHARE), 0, 1)
    taper = 0.5 + 0.5 * np.cos(np.pi * fall)
    distance = (place[:, None] ** 2 + place[None, :] ** 2) / (2 * HOLE_SHARE**2)
    weights: NDArray[np.float64] = np.outer(taper, taper) * (1 - np.exp(-(distance**2)))
    return weights.astype(np.float32)


_SPEC = PreprocessSpec(height=PATCH_PX, width=PATCH_PX, channels=1)
_WINDOW = _window()
_ROWS, _COLUMNS = np.fft.fftfreq(PATCH_PX)[:, None], np.fft.rfftfreq(PATCH_PX)[None, :]
_WEIGHT = np.exp(-2 * (np.pi * PEAK_PX) ** 2 * (_ROWS**2 + _COLUMNS**2)).astype(np.float32)
_HIGHEST = float(np.fft.irfft2(_WEIGHT, (PATCH_PX, PATCH_PX)).max())


class Refiner:
    """Measures how far the joints of a frame lie from their places.

    Args:
        settings: how far they may lie.
        golden: the golden image, uint8 grey or BGR.
        rois: the joints' boxes, float64 ``(n, 5)``: x, y, width, height in pixels and angle in radians.
    """

    def __init__(self, settings: Refinement, golden: Image, rois: Matrix) -> None:
        self._rois = rois.copy()
        self._rois[:, 2:4] *= SURROUNDINGS
        self._step = self._rois[:, 2:4] / PATCH_PX
        reach_px = settings.max_shift_px / SHARE_OF_PITCH
        self._limit = np.minimum(settings.max_shift_px, SHARE_OF_PITCH * _pitch(rois, reach_px))
        patches, _ = self._patches(golden, np.eye(2, 3))
        self._textured = patches.std(axis=(1, 2)) >= MIN_LEVELS
        self._golden = np.conj(_spectra(patches))
        # Allowed shifts in whole patch pixels: those within a joint's limit, and one more for the parabola.
        shifts = np.fft.fftfreq(PATCH_PX, 1 / PATCH_PX)
        reach = self._limit[:, None] / self._step
        self._may = (np.abs(shifts)[None, :, None] <= np.ceil(reach[:, 1])[:, None, None]) & (
            np.abs(shifts)[None, None, :] <= np.ceil(reach[:, 0])[:, None, None]
        )

    def offsets(self, frame: Image, alignment: Matrix) -> NDArray[np.float64]:
        """Measure a frame's joints.

        Args:
            frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``.
            alignment: float64 ``(2, 3)``, from recipe to frame pixels.

        Returns:
            The distance of each joint from its place in recipe pixels, float64 ``(n, 2)``; 0 for a joint that has too
            little texture, differs from golden's, or would move beyond its limit.
        """
        patches, outside = self._patches(frame, alignment)
        textured = self._textured & ~outside & (patches.std(axis=(1, 2)) >= MIN_LEVELS)
        cross = _spectra(patches) * self._golden
        cross *= _WEIGHT / np.maximum(np.abs(cross), 1e-6)
        response = np.fft.irfft2(cross, (PATCH_PX, PATCH_PX)).astype(np.float32, copy=False)
        peak, height = _peaks(response, self._may)
        angle = self._rois[:, 4]
        cos, sin = np.cos(angle), np.sin(angle)
        along, across = (peak * self._step).T
        offsets = np.column_stack([cos * along - sin * across, sin * along + cos * across])
        sure = textured & (height >= MIN_PEAK * _HIGHEST) & (np.hypot(*offsets.T) <= self._limit)
        offsets[~sure] = 0.0
        return offsets

    def _patches(self, image: Image, alignment: Matrix) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return boxes as float32 ``(n, PATCH_PX, PATCH_PX)``, and which of them leave the image."""
        maps = crops_to_image(self._rois, _SPEC, alignment)
        patches = np.empty((len(maps), *_SPEC.shape), np.uint8)
        crops_of_frame(image, maps, patches)
        return patches[..., 0].astype(np.float32), outside_frame(maps, _SPEC, image.shape)


def _pitch(rois: Matrix, reach_px: float) -> NDArray[np.float64]:
    """Return the distance of each box's centre to the nearest other one; infinity where none is within ``reach_px``.

    Boxes sorted by x are compared with the next one, the one after that, and so on, as long as any pair is near enough:
    a table of all pairs would take 80 GB for 100,000 joints.
    """
    order = np.argsort(rois[:, 0], kind="stable")
    x, y = rois[order, 0], rois[order, 1]
    nearest = np.full(len(rois), np.inf)
    for ahead in range(1, len(rois)):
        step = x[ahead:] - x[:-ahead]
        if step.min() > reach_px:
            break
        distance = np.hypot(step, y[ahead:] - y[:-ahead])
        np.minimum(nearest[:-ahead], distance, out=nearest[:-ahead])
        np.minimum(nearest[ahead:], distance, out=nearest[ahead:])
    pitch = np.empty_like(nearest)
    pitch[order] = np.where(nearest <= reach_px, nearest, np.inf)
    return pitch


def _spectra(patches: NDArray[np.float32]) -> NDArray[np.complex64]:
    # All patches as one tall image: filters mix two patches only at their rims, where the window is 0.
    tall = cv2.GaussianBlur(patches.reshape(-1, PATCH_PX), (0, 0), 1.0)
    rise_x = cv2.Sobel(tall, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    rise_y = cv2.Sobel(tall, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    edges = cv2.magnitude(rise_x, rise_y).astype(np.float32, copy=False).reshape(patches.shape)
    weighted = edges / (edges + np.float32(EDGE_LEVELS)) * _WINDOW
    weighted -= (weighted.sum(axis=(1, 2), keepdims=True) / _WINDOW.sum()) * _WINDOW
    return np.fft.rfft2(weighted).astype(np.complex64, copy=False)


def _peaks(
    response: NDArray[np.float32], may: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the highest allowed place to a fraction of a pixel, x and y ``(n, 2)``, and its height ``(n,)``."""
    count = len(response)
    which = np.arange(count)
    row, column = np.divmod(np.where(may, response, -np.inf).reshape(count, -1).argmax(axis=1), PATCH_PX)
    height = response[which, row, column].astype(np.float64)
    before_x, after_x = (response[which, row, (column + by) % PATCH_PX] for by in (-1, 1))
    before_y, after_y = (response[which, (row + by) % PATCH_PX, column] for by in (-1, 1))
    peaks: NDArray[np.float64] = np.empty((count, 2))
    peaks[:, 0] = _whole(column) + _vertex(before_x, height, after_x)
    peaks[:, 1] = _whole(row) + _vertex(before_y, height, after_y)
    return peaks, height


def _whole(index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Convert an index of the transform to a shift, which may be negative."""
    shift = (index + PATCH_PX // 2) % PATCH_PX - PATCH_PX // 2
    return shift.astype(np.float64)


def _vertex(
    before: NDArray[np.float32], middle: NDArray[np.float64], after: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the vertex of the parabola through three logarithms, relative to the middle one."""
    low, mid, high = (np.log(np.maximum(value, 1e-9)) for value in (before, middle, after))
    bend = low - 2 * mid + high
    top: NDArray[np.float64] = 0.5 * (low - high) / np.where(bend < 0, bend, -np.inf)
    # At the limit, the highest allowed place need not be a maximum.
    bounded: NDArray[np.float64] = np.clip(top, -1.0, 1.0)
    return bounded
