"""How a run names the pictures that it keeps: whoever has a record can find them."""

import re
from enum import StrEnum

UNSAFE = re.compile(r"[^\w.-]+")
MAX_STEM = 120
"""Characters of a picture's name; the board's name, which is unique, comes first."""


class PictureKind(StrEnum):
    """The kinds of pictures that a run can keep, each in a folder of its own."""

    BOARD = "board"
    """The board as the camera saw it, straightened; of boards that did not pass, and of some that did."""
    PAINTED = "painted"
    """The frame with all verdicts painted on it."""
    CROP = "crop"
    """The crop of a joint that did not pass, as the engine saw it."""


def board_picture(board: str) -> str:
    """Return the name of a board's own picture, from the name of its record."""
    return f"{escaped(board)}.jpg"


def painted_picture(board: str, frame: str) -> str:
    """Return the name of a painted board, which most systems accept, from the names of a board and its frame."""
    stem = UNSAFE.sub("_", f"{board}_{frame}")
    return f"{stem[:MAX_STEM]}.jpg"


def crop_picture(verdict: str, board: str, refdes: str) -> str:
    """Return the name of the crop of a joint that did not pass, within the folder of crops."""
    return f"{verdict}/{escaped(board)}_{escaped(refdes)}.png"


def escaped(name: str) -> str:
    """Return a file name that cannot leave its folder; different names stay different."""
    return "".join(
        letter
        if letter.isalnum() or letter in "._-"
        else "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogateescape"))
        for letter in name
    )
