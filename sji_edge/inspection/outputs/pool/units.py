"""Tells which single board a frame shows, as far as its serial number, its name or its time says."""

from pathlib import PurePath

from sji_edge.core.protocols import BoardRecord, Frame

MINUTE = len("2026-01-31T08:00")


def unit_of(frame: Frame, record: BoardRecord, *, stored: bool) -> str:
    """Return the name of the board that a frame shows. Joints of one unit stay together when data is split.

    It is the board's serial number. Where that is not known, an image file is a unit, a video file is one unit as a
    whole, and of a camera, all frames of one minute are.

    Args:
        frame: the frame.
        record: of the board.
        stored: the frames are files.
    """
    if record.serial:
        return record.serial
    if not stored:
        return record.utc[:MINUTE]
    file, mark, _ = frame.name.rpartition("#")
    return file if mark and PurePath(file).suffix else frame.name
