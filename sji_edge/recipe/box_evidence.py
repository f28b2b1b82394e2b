"""What the golden image shows of a joint's box: its contrast, and whether the structure lies inside the box."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.preprocess import Image, Matrix, crops_of_frame, crops_to_image, to_channels

FLAT_LEVELS = 12.0
"""A box whose contrast is below this many grey levels shows no joint."""
SMOOTHING_PX = 1.5
"""Noise is smoothed away before anything is measured."""
PATCH_PX = 48
REACH = 1.9
"""Size of the patch around a box, in boxes."""
RIM = 1.1
"""Where a box ends and its surroundings begin, in boxes: a pad's own outline may lie on the box."""
NOISE_LEVELS = 0.5
"""Mean gradient of a flat patch, in grey levels per patch pixel."""


def contrasts(golden: Image, rois: Matrix) -> NDArray[np.float64]:
    """Measure the contrast of boxes: grey levels between the 2nd and the 98th percentile, float64 ``(n,)``.

    Args:
        golden: uint8, grey or BGR.
        rois: float64 ``(n, 5)``: x, y, width, height in pixels and angle in radians. A box whose centre lies outside
            the image has no contrast.
    """
    smooth = cv2.GaussianBlur(to_channels(golden, 1), (0, 0), SMOOTHING_PX)
    height, width = smooth.shape
    found = np.zeros(len(rois))
    for number, (x, y, across, along, angle) in enumerate(rois.tolist()):
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            continue
        cos, sin = np.cos(angle), np.sin(angle)
        size = (min(max(1, round(across)), width), min(max(1, round(along)), height))
        turn = np.array([[cos, -sin], [sin, cos]])
        corner = np.array([x, y]) - turn @ ((np.array(size) - 1) / 2)
        box = cv2.warpAffine(
            smooth,
            np.column_stack([turn, corner]),
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        low, high = np.percentile(box, [2, 98])
        found[number] = high - low
    return found


def concentrations(golden: Image, rois: Matrix) -> NDArray[np.float64]:
    """Measure how much more structure boxes hold than their surroundings do, float64 ``(n,)`` from -1 to 1.

    A box that lies on its joint holds the joint's outline; one that lies beside it has that outline in its
    surroundings. The value compares two readings of the same joint; on its own it says little.

    Args:
        golden: uint8, grey or BGR.
        rois: float64 ``(n, 5)``: x, y, width, height in pixels and angle in radians.
    """
    smooth = cv2.GaussianBlur(to_channels(golden, 1), (0, 0), SMOOTHING_PX).astype(np.uint8, copy=False)
    around = rois.copy()
    around[:, 2:4] *= REACH
    spec = PreprocessSpec(height=PATCH_PX, width=PATCH_PX)
    patches = np.empty((len(rois), *spec.shape), np.uint8)
    crops_of_frame(smooth, crops_to_image(around, spec), patches)
    levels = patches[..., 0].astype(np.float32)
    gradient = np.hypot(np.gradient(levels, axis=1), np.gradient(levels, axis=2))
    away = np.abs((np.arange(PATCH_PX) + 0.5) / PATCH_PX * 2 - 1) * REACH
    distance = np.maximum(away[:, None], away[None, :])
    inside = gradient[:, distance < RIM].mean(axis=1)
    around_it = gradient[:, distance >= RIM].mean(axis=1)
    found: NDArray[np.float64] = (inside - around_it) / (inside + around_it + NOISE_LEVELS)
    return found
