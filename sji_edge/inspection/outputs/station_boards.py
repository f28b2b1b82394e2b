"""Keeps pictures of whole boards as the camera saw them, for a person who decides about what was called."""

import cv2

from sji_edge.core.errors import OutputError
from sji_edge.core.preprocess import Image, Matrix
from sji_edge.core.protocols import Frame
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.judging.frame_job import Judgement
from sji_edge.inspection.outputs.quota_folder import PictureFolder
from sji_edge.records.picture_names import board_picture

JPEG_QUALITY = 92
GOOD_EVERY = 20
"""One PASS board of so many is kept, the first one included, to compare with."""


class StationBoards:
    """Keeps each board that did not pass, and some that did, as ``BOARD.jpg``, without anything painted on it.

    An aligned board is straightened: its joints lie where the recipe and the golden image have them. A frame that was
    not aligned is kept as it came.

    Args:
        store: folder for the pictures.
    """

    def __init__(self, store: PictureFolder) -> None:
        self._store = store
        self._passed = 0

    def keep(self, frame: Frame, judgement: Judgement) -> None:
        """Keep a board's picture; raises ``OutputError`` if it cannot be written."""
        if frame.pixels is None:
            return
        if judgement.record.verdict is Verdict.PASS:
            self._passed += 1
            if self._passed % GOOD_EVERY != 1:
                return
        alignment = None if judgement.placement is None else judgement.placement.alignment
        pixels = frame.pixels if alignment is None else straightened(frame.pixels, alignment)
        name = board_picture(judgement.record.board)
        done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise OutputError(f"cannot encode {name}")
        self._store.write(name, data.tobytes())


def straightened(pixels: Image, alignment: Matrix) -> Image:
    """Return a frame in the recipe's own pixels, in the frame's size.

    Args:
        pixels: uint8, grey ``(h, w)`` or BGR ``(h, w, 3)``.
        alignment: from recipe to frame pixels, float64 ``(2, 3)``.
    """
    size = (pixels.shape[1], pixels.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(pixels, alignment, size, None, flags, cv2.BORDER_CONSTANT).astype(
        pixels.dtype, copy=False
    )
