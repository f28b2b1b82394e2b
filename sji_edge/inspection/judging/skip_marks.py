"""Finds the units of a panel that are marked to be skipped, by comparing each mark's area with the golden image."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image, Matrix, to_channels
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.recipe.codes.pictures import cut_area
from sji_edge.recipe.panel import SkipMark, Unit

SIDE_PX = 64
CHANGE = 0.25
"""A pixel has changed if it differs by this share of the golden image's contrast."""
UNCLEAR = 0.5
"""From this share of ``min_changed`` on, a mark may be there."""


@dataclass(frozen=True, slots=True, eq=False)
class Skips:
    """Which units are skipped, bool ``(units,)``, and the fault of each whose mark is unclear, by its index."""

    skipped: NDArray[np.bool_]
    unclear: dict[int, Fault]


class SkipMarks:
    """The skip marks of a panel.

    Args:
        units: of the panel.
        golden: the golden image, uint8 grey or BGR; shows no mark.
    """

    def __init__(self, units: Sequence[Unit], golden: Image) -> None:
        grey = to_channels(golden, 1)
        self._units = len(units)
        low, high = np.percentile(grey[::4, ::4], (2, 98))
        self._change = CHANGE * max(float(high - low), 16.0)
        self._mean = float(grey[::4, ::4].mean())
        self._marks = [
            (place, unit.name, unit.skip, unit.to_panel, self._cut(grey, unit.skip, unit.to_panel))
            for place, unit in enumerate(units)
            if unit.skip is not None
        ]

    def find(self, pixels: Image, alignment: Matrix) -> Skips:
        """Look for the marks.

        Args:
            pixels: the frame.
            alignment: from recipe to frame pixels, float64 ``(2, 3)``.
        """
        grey = to_channels(pixels, 1)
        # The lamp's drift is no mark.
        gain = self._mean / max(float(grey[::4, ::4].mean()), 1.0)
        skipped, unclear = np.zeros(self._units, np.bool_), {}
        for place, name, mark, to_panel, golden in self._marks:
            onto = alignment[:, :2] @ to_panel
            onto[:, 2] += alignment[:, 2]
            change = np.abs(gain * self._cut(grey, mark, onto) - golden)
            share = float((change > self._change).mean())
            if share >= mark.min_changed:
                skipped[place] = True
            elif share >= UNCLEAR * mark.min_changed:
                unclear[place] = Fault(
                    Cause.SKIP_MARK,
                    f"unit {name}: {share:.0%} of its skip mark changed; {mark.min_changed:.0%} is a mark, "
                    f"below {UNCLEAR * mark.min_changed:.0%} is none",
                )
        return Skips(skipped, unclear)

    def _cut(self, grey: Image, mark: SkipMark, onto: Matrix) -> NDArray[np.float32]:
        cut = cut_area(grey, mark, onto, SIDE_PX)
        # Half a pixel of misalignment at an edge is no mark.
        return cv2.GaussianBlur(cut, (0, 0), 1.5).astype(np.float32)
