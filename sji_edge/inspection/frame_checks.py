"""The checks of a frame before anything is looked for in it."""

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Frame
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.recipe.board import FrameLimits

BLACK_LEVEL = 8
"""A frame without a pixel above this grey level shows nothing."""
WHITE_LEVEL = 250
GRID = np.s_[::8, ::8]
LINES_PX = 64
"""Detail is measured on one row and one column of so many."""


class FrameChecks:
    """Checks frames against a size, and against golden where there is one.

    Args:
        size: the ``(width, height)`` wanted, or None where any will do.
        limits: what a frame may not exceed; None checks only that it can be read, its size, and for black.
        golden: uint8 grey or BGR of that size; without it sharpness is not checked.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        limits: FrameLimits | None = None,
        golden: Image | None = None,
    ) -> None:
        self._size = size
        self._limits = limits
        self._white = 0.0 if golden is None else white_share(golden)
        self._detail = None if golden is None else detail(golden)
        self._last: Image | None = None

    def fault(self, frame: Frame) -> Fault | None:
        """Say what is wrong with a frame, or return None; frames come in the order of their capture."""
        if frame.pixels is None:
            cause = Cause.SOURCE_AWAY if frame.away else Cause.UNREADABLE
            return Fault(cause, frame.error or "the source gave no pixels")
        height, width = frame.pixels.shape[:2]
        if self._size is not None and (width, height) != self._size:
            return Fault(Cause.WRONG_SIZE, f"{width}x{height}, {self._size[0]}x{self._size[1]} was wanted")
        brightest = int(frame.pixels.max(initial=0))
        if brightest <= BLACK_LEVEL:
            return Fault(Cause.BLACK, f"no pixel is brighter than {brightest}")
        return None if self._limits is None else self._limit_fault(frame.pixels, self._limits)

    def _limit_fault(self, pixels: Image, limits: FrameLimits) -> Fault | None:
        frozen, self._last = self._is_last(pixels), pixels
        if frozen:
            return Fault(Cause.FROZEN, "it equals the frame before it in every pixel")
        white = white_share(pixels)
        if white - self._white > limits.max_saturated_share:
            return Fault(
                Cause.SATURATED, f"{white:.0%} of it is white, {self._white:.0%} of the golden image is"
            )
        if self._detail is None or limits.min_sharpness == 0.0:
            return None
        share = detail(pixels) / max(self._detail, 1e-12)
        if share < limits.min_sharpness:
            wanted = f"{limits.min_sharpness:.0%} was wanted"
            return Fault(Cause.BLURRED, f"it has {share:.0%} of golden's fine detail, {wanted}")
        return None

    def _is_last(self, pixels: Image) -> bool:
        last = self._last
        if last is None or last.shape != pixels.shape:
            return False
        # A live sensor's noise differs somewhere on the grid; only then is every pixel looked at.
        return np.array_equal(last[GRID], pixels[GRID]) and np.array_equal(last, pixels)


def white_share(pixels: Image) -> float:
    """Share of pixels that are white, on a grid of every eighth."""
    return float((_grey(pixels)[GRID] >= WHITE_LEVEL).mean())


def detail(pixels: Image) -> float:
    """Energy of the second difference along some rows and columns, over the variance.

    It is free of gain and offset. A blur of one pixel leaves about a quarter of it, and unlike a gradient's
    energy it hardly depends on what a board shows.
    """
    grey = _grey(pixels)
    rows = grey[LINES_PX // 2 :: LINES_PX].astype(np.float32)
    columns = np.ascontiguousarray(grey[:, LINES_PX // 2 :: LINES_PX].T).astype(np.float32)
    if rows.size == 0 or columns.size == 0:
        return 0.0
    return min(_curvature(rows), _curvature(columns))


def _curvature(lines: NDArray[np.float32]) -> float:
    bend = 2 * lines[:, 1:-1] - lines[:, :-2] - lines[:, 2:]
    return float(np.vdot(bend, bend)) / bend.size / max(float(lines.var()), 1e-6)


def _grey(pixels: Image) -> Image:
    return pixels if pixels.ndim == 2 else pixels[:, :, 1]
