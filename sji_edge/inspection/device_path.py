"""Frames judged by an engine that cuts the joints itself: the frame is copied to the GPU once, the crops never."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from sji_edge.core.errors import EngineInputError
from sji_edge.core.preprocess import Image, Matrix
from sji_edge.core.protocols import FrameEngine
from sji_edge.inspection.layout import Placement
from sji_edge.inspection.work import Logits, Work


class DevicePath:
    """Gives the engine as many frames at once as it has buffer sets, so that copies and computation overlap.

    Args:
        engine: cuts and judges; used by one thread at a time.
        classes: logits of each joint.
    """

    def __init__(self, engine: FrameEngine, classes: int) -> None:
        self._engine = engine
        self._classes = classes

    def infer(self, works: Sequence[Work]) -> None:
        """Judge frames in their order; each has its logits and its lap when its answer is there.

        Raises:
            Exception: what the engine raised; the frames that it had not answered have no logits.
        """
        under_way: deque[tuple[Work, int]] = deque()
        try:
            for work in works:
                maps = _maps(work.placement)
                if not len(maps) or work.frame.pixels is None:
                    work.logits = np.empty((0, self._classes), np.float32)
                    work.watch.lap("infer")
                    continue
                if len(under_way) == self._engine.sets:
                    self._answer(*under_way.popleft())
                pixels: Image = np.ascontiguousarray(work.frame.pixels)
                under_way.append((work, self._engine.submit_frame(pixels, maps)))
            while under_way:
                self._answer(*under_way.popleft())
        finally:
            # After an error the other frames' buffer sets are given back; what they hold is not trusted.
            for _, ticket in under_way:
                self._engine.drop(ticket)

    def warm_up(self, pixels: Image, placement: Placement) -> None:
        """Judge a frame on every buffer set, so that memory and recordings are there."""
        maps = _maps(placement)
        for _ in range(self._engine.sets if len(maps) else 0):
            self._engine.collect(self._engine.submit_frame(np.ascontiguousarray(pixels), maps))

    def _answer(self, work: Work, ticket: int) -> None:
        logits: Logits = self._engine.collect(ticket)
        wanted = (len(_maps(work.placement)), self._classes)
        if logits.shape != wanted:
            raise EngineInputError(f"the engine gave logits of shape {logits.shape}, {wanted} was wanted")
        work.logits = logits
        work.watch.lap("infer")


def _maps(placement: Placement | None) -> Matrix:
    if placement is None:
        return np.empty((0, 2, 3))
    return np.ascontiguousarray(placement.maps[placement.inside])
