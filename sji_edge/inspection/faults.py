"""What keeps a board from being judged."""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why a board is ERROR; the run counts boards by it."""

    UNREADABLE = "unreadable"
    SOURCE_AWAY = "source-away"
    WRONG_SIZE = "wrong-size"
    BLACK = "black"
    SATURATED = "saturated"
    DIM = "dim"
    FROZEN = "frozen"
    BLURRED = "blurred"
    TOO_OLD = "too-old"
    ALIGNMENT = "alignment"
    OUTSIDE_FRAME = "outside-frame"
    HIDDEN = "hidden"
    """A joint is covered, blanked out, or in lost rows of the frame, so it cannot be judged."""
    NOT_FINITE = "non-finite"
    ENGINE = "engine"
    STALLED = "engine-stalled"
    """The engine did not return within its time limit, and the run ended."""
    LATE = "late"
    MISSED = "missed"
    """The device took it and it never came here, by the device's numbering; counted, and not on record."""
    DISPLACED = "displaced"
    """A newer frame took its place before anything looked at it; counted, and not on record."""
    NOT_BEGUN = "not-begun"
    """Waiting when the process alarm ended the run; counted, and not on record."""
    NOT_RECORDED = "not-recorded"
    """A sink failed; ERROR in the sinks before it, which work."""
    ABANDONED = "abandoned"
    """In flight when the run was broken off; counted, and not on record."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A cause, and what was found."""

    cause: Cause
    detail: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"
