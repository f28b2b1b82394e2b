"""Finding a board's fiducials in a frame, each by the method of its shape."""

from collections.abc import Sequence

from sji_edge.core.preprocess import Image
from sji_edge.recipe.board import Fiducial
from sji_edge.recipe.circles import find_circles
from sji_edge.recipe.marks import Mark, Window, cut_window


def find_fiducials(frame: Image, fiducials: Sequence[Fiducial]) -> list[list[Mark]]:
    """Find where each fiducial may be.

    Args:
        frame: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``.
        fiducials: each is looked for within its ``search_px`` of its place.

    Returns:
        For each the places in frame pixels, the best first; none when nothing in its window is one.
    """
    windows = [cut_window(frame, one) for one in fiducials]
    found = find_circles(windows, [one.radius for one in fiducials])
    return [
        [mark for mark in (_in_frame(mark, window) for mark in marks) if _within(mark, one)]
        for one, window, marks in zip(fiducials, windows, found, strict=True)
    ]


def _in_frame(mark: Mark, window: Window) -> Mark:
    return Mark(mark.x + window.left, mark.y + window.top, mark.roughness_px)


def _within(mark: Mark, fiducial: Fiducial) -> bool:
    return max(abs(mark.x - fiducial.x), abs(mark.y - fiducial.y)) <= fiducial.search_px
