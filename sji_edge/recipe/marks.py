"""What fiducial finders take and give: a window of the frame, and places in it."""

from dataclasses import dataclass

import numpy as np

from sji_edge.core.preprocess import Image, to_channels
from sji_edge.recipe.board import Fiducial

MARGIN = 1.6
"""How much of the surroundings belongs to a fiducial's window, in radii."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fiducial's centre in pixels; ``roughness_px`` says how well its shape fits, 0 being best."""

    x: float
    y: float
    roughness_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The part of a frame where a fiducial may be: uint8 grey ``(h, w)``, and its corner in the frame."""

    pixels: Image
    left: int
    top: int


def cut_window(frame: Image, mark: Fiducial) -> Window:
    """Cut a fiducial's window out of a frame; a dark mark's is inverted, so that marks are bright."""
    reach = mark.search_px + MARGIN * mark.radius
    left, top = max(0, int(mark.x - reach)), max(0, int(mark.y - reach))
    right = min(frame.shape[1], int(mark.x + reach) + 2)
    bottom = min(frame.shape[0], int(mark.y + reach) + 2)
    window = to_channels(frame[top:bottom, left:right], 1)
    if not mark.bright:
        window = np.subtract(255, window, dtype=np.uint8)
    return Window(window, left, top)
