"""What keeps a board from being judged, and the checks of a frame before anything else looks at it."""

from dataclasses import dataclass
from enum import StrEnum

from sji_edge.core.protocols import Frame

BLACK_LEVEL = 8
"""A frame without a pixel above this grey level shows nothing."""


class Cause(StrEnum):
    """Why a board is ERROR; the run counts boards by it."""

    UNREADABLE = "unreadable"
    WRONG_SIZE = "wrong-size"
    BLACK = "black"
    ALIGNMENT = "alignment"
    OUTSIDE_FRAME = "outside-frame"
    NOT_FINITE = "non-finite"
    ENGINE = "engine"
    NOT_RECORDED = "not-recorded"


@dataclass(frozen=True, slots=True)
class Fault:
    """A cause, and what was found."""

    cause: Cause
    detail: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"


def frame_fault(frame: Frame, size: tuple[int, int] | None) -> Fault | None:
    """Check a frame.

    Args:
        frame: as the source gave it.
        size: the ``(width, height)`` wanted, or None where any will do.

    Returns:
        What is wrong with it, or None.
    """
    if frame.pixels is None:
        return Fault(Cause.UNREADABLE, frame.error or "the source gave no pixels")
    height, width = frame.pixels.shape[:2]
    if size is not None and (width, height) != size:
        return Fault(Cause.WRONG_SIZE, f"{width}x{height}, {size[0]}x{size[1]} was wanted")
    brightest = int(frame.pixels.max(initial=0))
    if brightest <= BLACK_LEVEL:
        return Fault(Cause.BLACK, f"no pixel is brighter than {brightest}")
    return None
