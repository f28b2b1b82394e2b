"""The causes for which a board or a joint is not judged, or a joint that its score would pass is REVIEW."""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why a board or joint is ERROR, why a joint that its score would pass is REVIEW, or why a frame has no record.

    A run counts boards by cause.
    """

    UNREADABLE = "unreadable"
    """The image cannot be decoded, or is damaged."""
    SOURCE_AWAY = "source-away"
    """The camera was disconnected and delivered no frame."""
    WRONG_SIZE = "wrong-size"
    """The frame does not have the recipe's size, or is too large to show a single joint."""
    BLACK = "black"
    """No pixel of the frame is brighter than grey level 8."""
    SATURATED = "saturated"
    """Too much of the frame is white, compared with the golden image."""
    DIM = "dim"
    """The frame has too little of the golden image's contrast."""
    FROZEN = "frozen"
    """A live source repeated one of the last four frames, pixel by pixel."""
    BLURRED = "blurred"
    """The frame has too little of the golden image's fine detail."""
    TOO_OLD = "too-old"
    """The frame was older than the maximum age when work on it began."""
    ALIGNMENT = "alignment"
    """The fiducials were not found, or the alignment exceeded a limit."""
    NO_SERIAL = "no-serial"
    """The board's serial number could not be read; the recipe says whether that is an ERROR."""
    SKIP_MARK = "skip-mark"
    """The skip mark of a unit is neither clearly there nor clearly absent."""
    ALL_SKIPPED = "all-skipped"
    """Every unit of the panel is marked to be skipped, so there was nothing to judge."""
    OUTSIDE_FRAME = "outside-frame"
    """The joint's box lies partly outside the frame."""
    HIDDEN = "hidden"
    """A joint is covered, blanked out, or in lost rows of the frame, so it cannot be judged."""
    NOT_FINITE = "non-finite"
    """The engine's answer for the joint is not a finite number."""
    UNLIKE_TRAINING = "unlike-training"
    """The joint is REVIEW, though its score says PASS: the guard finds it unlike the training data."""
    UNLIKE_GOLDEN = "unlike-golden"
    """The joint is REVIEW, though its score says PASS: it is unlike the same place on the recipe's enrolled boards."""
    WRONG_BOARD = "wrong-board"
    """Too many joints are unlike their place on the enrolled boards: turned, another product, or another side."""
    ENGINE = "engine"
    """The engine failed, and the run ended."""
    STALLED = "engine-stalled"
    """The engine did not return within its time limit, and the run ended."""
    LATE = "late"
    """The verdict came after the takt."""
    MISSED = "missed"
    """The device captured the frame but did not deliver it, according to its frame numbers. Counted, no record."""
    DISPLACED = "displaced"
    """A newer frame replaced it in the queue. Counted, no record."""
    NOT_BEGUN = "not-begun"
    """It was queued when the process alarm ended the run. Counted, no record."""
    NOT_RECORDED = "not-recorded"
    """A sink failed. The board is ERROR in the sinks before it, which still work."""
    ABANDONED = "abandoned"
    """It was in flight when the run was aborted. Counted, no record."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A cause, and the details of what was found."""

    cause: Cause
    detail: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"
