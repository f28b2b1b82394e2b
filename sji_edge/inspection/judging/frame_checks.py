"""The checks of a frame before anything is looked for in it."""

import cv2
import numpy as np

from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Frame
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.recipe.board import FrameLimits

BLACK_LEVEL = 8
"""A frame without a pixel above this grey level shows nothing."""
WHITE_LEVEL = 250
GRID = np.s_[::8, ::8]
"""What most checks look at: a sixty-fourth of the pixels, an eighth of the memory."""
LINES_PX = 64
"""Detail is measured on one row and one column of so many."""


class FrameChecks:
    """Checks frames against a size, and against golden where there is one.

    Args:
        size: the ``(width, height)`` wanted, or None where any will do.
        limits: what a frame may not exceed; None checks only that it can be read, its size, and for black.
        golden: uint8 grey or BGR of that size; without it contrast and sharpness are not checked.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        limits: FrameLimits | None = None,
        golden: Image | None = None,
    ) -> None:
        self._size = size
        self._limits = limits
        self._white = 0.0 if golden is None else _white_share(_grid(golden))
        self._contrast = None if golden is None else _contrast(_grid(golden))
        self._detail = None if golden is None else detail(golden)
        self._last: tuple[Image, Image] | None = None

    def fault(self, frame: Frame) -> Fault | None:
        """Say what is wrong with a frame, or return None; frames come in the order of their capture."""
        if frame.pixels is None:
            cause = Cause.SOURCE_AWAY if frame.away else Cause.UNREADABLE
            return Fault(cause, frame.error or "the source gave no pixels")
        height, width = frame.pixels.shape[:2]
        if self._size is not None and (width, height) != self._size:
            return Fault(Cause.WRONG_SIZE, f"{width}x{height}, {self._size[0]}x{self._size[1]} was wanted")
        grid = _grid(frame.pixels)
        # Only a frame that is dark on the grid is looked at whole.
        if grid.max(initial=0) <= BLACK_LEVEL:
            brightest = int(frame.pixels.max(initial=0))
            if brightest <= BLACK_LEVEL:
                return Fault(Cause.BLACK, f"no pixel is brighter than {brightest}")
        return None if self._limits is None else self._limit_fault(frame.pixels, grid, self._limits)

    def forget_last_frame(self) -> None:
        """Let the next frame equal the last one without being called frozen."""
        self._last = None

    def _limit_fault(self, pixels: Image, grid: Image, limits: FrameLimits) -> Fault | None:
        frozen, self._last = self._is_last(pixels, grid), (pixels, grid)
        if frozen:
            return Fault(Cause.FROZEN, "it equals the frame before it in every pixel")
        white = _white_share(grid)
        if white - self._white > limits.max_saturated_share:
            return Fault(
                Cause.SATURATED, f"{white:.0%} of it is white, {self._white:.0%} of the golden image is"
            )
        return self._blurred(pixels, limits.min_sharpness) or self._dim(grid, limits.min_contrast)

    def _blurred(self, pixels: Image, least: float) -> Fault | None:
        if self._detail is None or least == 0.0:
            return None
        share = detail(pixels) / max(self._detail, 1e-12)
        if share >= least:
            return None
        return Fault(Cause.BLURRED, f"it has {share:.0%} of golden's fine detail, {least:.0%} was wanted")

    def _dim(self, grid: Image, least: float) -> Fault | None:
        if self._contrast is None:
            return None
        share = _contrast(grid) / max(self._contrast, 1e-6)
        if share >= least:
            return None
        return Fault(Cause.DIM, f"it has {share:.0%} of golden's contrast, {least:.0%} was wanted")

    def _is_last(self, pixels: Image, grid: Image) -> bool:
        if self._last is None or self._last[0].shape != pixels.shape:
            return False
        # A live sensor's noise differs somewhere on the grid; only then is every pixel looked at.
        return np.array_equal(self._last[1], grid) and np.array_equal(self._last[0], pixels)


def detail(pixels: Image) -> float:
    """Energy of the second difference along some rows and columns, over the variance.

    It is free of gain and offset. A blur of one pixel leaves about a quarter of it, and unlike a gradient's
    energy it hardly depends on what a board shows.
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
    """Mean square of the second difference, in whole numbers."""
    bend = np.add(before, after, dtype=np.int16)
    bend -= middle
    bend -= middle
    return cv2.norm(bend, cv2.NORM_L2SQR) / bend.size


def _variance(lines: Image) -> float:
    return max(float(cv2.meanStdDev(lines)[1][0, 0]) ** 2, 1e-6)


def _contrast(grid: Image) -> float:
    """Standard deviation of the grey levels."""
    return float(cv2.meanStdDev(grid)[1][0, 0]) if grid.size else 0.0


def _white_share(grid: Image) -> float:
    return np.count_nonzero(grid >= WHITE_LEVEL) / max(grid.size, 1)


def _grid(pixels: Image) -> Image:
    return np.ascontiguousarray(_grey(pixels)[GRID])


def _grey(pixels: Image) -> Image:
    return pixels if pixels.ndim == 2 else pixels[:, :, 1]
