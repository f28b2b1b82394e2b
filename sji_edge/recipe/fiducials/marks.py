"""The input and output of fiducial finders: a window of the frame, and places in it."""

from dataclasses import dataclass

import numpy as np

from sji_edge.core.preprocess import Image, to_channels
from sji_edge.recipe.fiducials.shapes import Fiducial

MARGIN = 1.6
"""How far a fiducial's window extends beyond the search range, in halves of the fiducial's size."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fiducial's centre in pixels.

    ``misfit`` measures the deviation from the expected shape, 0 being best; compare it only between marks of one
    fiducial. ``contrast`` is the difference to the surroundings in grey levels.
    """

    x: float
    y: float
    misfit: float
    contrast: float


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The part of a frame where a fiducial is searched: uint8 grey ``(h, w)``, and its corner in the frame."""

    pixels: Image
    left: int
    top: int


def cut_window(frame: Image, mark: Fiducial) -> Window:
    """Cut a fiducial's window out of a frame; a dark mark's window is inverted, so that marks are always bright."""
    half_x, half_y = mark.half_px
    reach_x, reach_y = mark.search_px + MARGIN * half_x, mark.search_px + MARGIN * half_y
    left, top = max(0, int(mark.x - reach_x)), max(0, int(mark.y - reach_y))
    right = min(frame.shape[1], int(mark.x + reach_x) + 2)
    bottom = min(frame.shape[0], int(mark.y + reach_y) + 2)
    window = to_channels(frame[top:bottom, left:right], 1)
    if mark.shape != "template" and not mark.bright:
        window = np.subtract(255, window, dtype=np.uint8)
    return Window(window, left, top)
