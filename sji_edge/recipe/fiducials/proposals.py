"""Propose places of a pattern in a window: correlation at a fraction of the resolution."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image

MAX_CANDIDATES = 3


def propose(
    window: Image, pattern: NDArray[np.float32], shrink: int, min_correlation: float
) -> list[tuple[float, float]]:
    """Return the places where a shrunk pattern correlates best.

    Args:
        window: uint8 grey ``(h, w)``; its border pixels are repeated outwards.
        pattern: float32, already shrunk.
        shrink: the factor by which it was shrunk.
        min_correlation: places below this are left out.

    Returns:
        Up to ``MAX_CANDIDATES`` centres in window pixels, the best first.
    """
    size = (max(1, round(window.shape[1] / shrink)), max(1, round(window.shape[0] / shrink)))
    small = cv2.resize(window, size, interpolation=cv2.INTER_AREA)
    high, wide = pattern.shape
    top, left = (high - 1) // 2, (wide - 1) // 2
    padded = cv2.copyMakeBorder(small, top, high - 1 - top, left, wide - 1 - left, cv2.BORDER_REPLICATE)
    response = cv2.matchTemplate(padded.astype(np.float32), pattern, cv2.TM_CCOEFF_NORMED)
    response[~np.isfinite(response)] = -1.0
    centre_x, centre_y = (wide - 1) / 2 - left, (high - 1) / 2 - top
    places = []
    for _ in range(MAX_CANDIDATES):
        _, best, _, (column, row) = cv2.minMaxLoc(response)
        if best < min_correlation:
            break
        places.append(
            (
                (column + centre_x + 0.5) * window.shape[1] / size[0] - 0.5,
                (row + centre_y + 0.5) * window.shape[0] / size[1] - 0.5,
            )
        )
        cv2.circle(response, (column, row), max(1, int(np.ceil(min(high, wide) / 3))), -1.0, -1)
    return places
