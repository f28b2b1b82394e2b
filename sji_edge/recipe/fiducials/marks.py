"""What fiducial finders take and give: a window of the frame, and places in it."""

from dataclasses import dataclass

import numpy as np

from sji_edge.core.preprocess import Image, to_channels
from sji_edge.recipe.fiducials.shapes import Fiducial

MARGIN = 1.6
"""How much of the surroundings belongs to a fiducial's window, in halves of its size."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fiducial's centre in pixels.

    ``misfit`` says how far it is from its shape, 0 being best, and compares marks of one fiducial only;
    ``contrast`` is how many grey levels it stands out by.
    """

    x: float
    y: float
    misfit: float
    contrast: float


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The part of a frame where a fiducial may be: uint8 grey ``(h, w)``, and its corner in the frame."""

    pixels: Image
    left: int
    top: int


def cut_window(frame: Image, mark: Fiducial) -> Window:
    """Cut a fiducial's window out of a frame; a dark mark's is inverted, so that marks are bright."""
    half_x, half_y = mark.half_px
    reach_x, reach_y = mark.search_px + MARGIN * half_x, mark.search_px + MARGIN * half_y
    left, top = max(0, int(mark.x - reach_x)), max(0, int(mark.y - reach_y))
    right = min(frame.shape[1], int(mark.x + reach_x) + 2)
    bottom = min(frame.shape[0], int(mark.y + reach_y) + 2)
    window = to_channels(frame[top:bottom, left:right], 1)
    if mark.shape != "template" and not mark.bright:
        window = np.subtract(255, window, dtype=np.uint8)
    return Window(window, left, top)
