"""Checks a whole frame before joints are located in it: readable, right size, lit, sharp, and not frozen."""

from collections import deque

import cv2
import numpy as np

from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Frame
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.recipe.limits import FrameLimits

BLACK_LEVEL = 8
"""A frame in which no pixel exceeds this grey level is black."""
WHITE_LEVEL = 250
GRID = np.s_[::8, ::8]
"""Most checks read this subset: one pixel in 64, which touches an eighth of the memory."""
LINES_PX = 64
"""Detail is measured on every 64th row and column."""
RECENT = 4
"""Number of earlier frames that a live frame is compared with. A camera whose driver hangs may return the images in its
buffers in turn."""


class FrameChecks:
    """Checks frames against a size, and against the golden image if there is one.

    Args:
        size: required ``(width, height)``; None accepts any size.
        limits: limits of the frame; None checks only whether it is readable, its size, and whether it is black.
        golden: uint8 grey or BGR of that size; without it, contrast and sharpness are not checked.
        live: the frames come from a camera, whose noise makes every image unique. Then an image that equals one of the
            last ``RECENT`` frames is frozen. Stored files may be equal.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        limits: FrameLimits | None = None,
        golden: Image | None = None,
        *,
        live: bool = True,
    ) -> None:
        self._size = size
        self._limits = limits
        self._white = 0.0 if golden is None else _white_share(_grid(golden))
        self._contrast = None if golden is None else _contrast(_grid(golden))
        self._detail = None if golden is None else detail(golden)
        self._recent: deque[tuple[Image, Image]] = deque(maxlen=RECENT if live else 0)

    def fault(self, frame: Frame) -> Fault | None:
        """Return what is wrong with a frame, or None. Pass the frames in the order of their capture."""
        if frame.pixels is None:
            cause = Cause.SOURCE_AWAY if frame.away else Cause.UNREADABLE
            return Fault(cause, frame.error or "the source delivered no pixels")
        height, width = frame.pixels.shape[:2]
        if self._size is not None and (width, height) != self._size:
            return Fault(
                Cause.WRONG_SIZE, f"{width}x{height} pixels instead of {self._size[0]}x{self._size[1]}"
            )
        grid = _grid(frame.pixels)
        # Read the whole frame only if the grid is dark.
        if grid.max(initial=0) <= BLACK_LEVEL:
            brightest = int(frame.pixels.max(initial=0))
            if brightest <= BLACK_LEVEL:
                return Fault(Cause.BLACK, f"the brightest pixel has grey level {brightest}")
        return None if self._limits is None else self._limit_fault(frame.pixels, grid, self._limits)

    def _limit_fault(self, pixels: Image, grid: Image, limits: FrameLimits) -> Fault | None:
        if (back := self._frames_back(pixels, grid)) is not None:
            earlier = "the previous frame" if back == 1 else f"the frame {back} before it"
            return Fault(Cause.FROZEN, f"every pixel equals that of {earlier}")
        white = _white_share(grid)
        if white - self._white > limits.max_saturated_share:
            return Fault(
                Cause.SATURATED, f"{white:.0%} of the frame is white, {self._white:.0%} of the golden image"
            )
        return self._blurred(pixels, limits.min_sharpness) or self._dim(grid, limits.min_contrast)

    def _blurred(self, pixels: Image, least: float) -> Fault | None:
        if self._detail is None or least == 0.0:
            return None
        share = detail(pixels) / max(self._detail, 1e-12)
        if share >= least:
            return None
        return Fault(Cause.BLURRED, f"{share:.0%} of the golden image's fine detail, minimum {least:.0%}")

    def _dim(self, grid: Image, least: float) -> Fault | None:
        if self._contrast is None:
            return None
        share = _contrast(grid) / max(self._contrast, 1e-6)
        if share >= least:
            return None
        return Fault(Cause.DIM, f"{share:.0%} of the golden image's contrast, minimum {least:.0%}")

    def _frames_back(self, pixels: Image, grid: Image) -> int | None:
        """Return how many frames ago the same image came (1 for the previous one), or None if it is new."""
        found = None
        # The noise of a live sensor differs somewhere on the grid; compare every pixel only if it does not.
        for back, (earlier, earlier_grid) in enumerate(reversed(self._recent), 1):
            same = earlier.shape == pixels.shape and np.array_equal(earlier_grid, grid)
            if same and np.array_equal(earlier, pixels):
                found = back
                break
        self._recent.append((pixels, grid))
        return found


def detail(pixels: Image) -> float:
    """Return the energy of the second difference along some rows and columns, divided by the variance.

    It does not depend on gain and offset. A blur of one pixel leaves about a quarter of it, and unlike the energy of a
    gradient it hardly depends on what the board shows.
    """
    grey = _grey(pixels)
    rows = np.ascontiguousarray(grey[LINES_PX // 2 :: LINES_PX])
    columns = np.ascontiguousarray(grey[:, LINES_PX // 2 :: LINES_PX])
    if rows.shape[0] == 0 or rows.shape[1] < 3 or columns.shape[0] < 3 or columns.shape[1] == 0:
        return 0.0
    along_rows = _energy(rows[:, :-2], rows[:, 1:-1], rows[:, 2:])
    along_columns = _energy(columns[:-2], columns[1:-1], columns[2:])
    return min(along_rows / _variance(rows), along_columns / _variance(columns))


def _energy(before: Image, middle: Image, after: Image) -> float:
    """Return the mean square of the second difference, computed in integers."""
    bend = np.add(before, after, dtype=np.int16)
    bend -= middle
    bend -= middle
    return cv2.norm(bend, cv2.NORM_L2SQR) / bend.size


def _variance(lines: Image) -> float:
    return max(float(cv2.meanStdDev(lines)[1][0, 0]) ** 2, 1e-6)


def _contrast(grid: Image) -> float:
    """Return the standard deviation of the grey levels."""
    return float(cv2.meanStdDev(grid)[1][0, 0]) if grid.size else 0.0


def _white_share(grid: Image) -> float:
    return np.count_nonzero(grid >= WHITE_LEVEL) / max(grid.size, 1)


def _grid(pixels: Image) -> Image:
    return np.ascontiguousarray(_grey(pixels)[GRID])


def _grey(pixels: Image) -> Image:
    return pixels if pixels.ndim == 2 else pixels[:, :, 1]
