"""Tells which single board a frame shows, as far as its name or its time says."""

import re
from pathlib import PurePath

from sji_edge.core.errors import UsageError
from sji_edge.core.protocols import Frame

MINUTE = len("2026-01-31T08:00")


class Units:
    """Names the unit of each frame. Joints of one unit stay together when data is split.

    A pattern finds the serial number in the frame's name. Without one, or where it does not match, an image file is a
    unit, a video file is one unit as a whole, and of a camera, all frames of one minute are.

    Args:
        stored: the frames are files.
        pattern: regular expression; its group ``unit``, else its first group, else the whole match is the unit.

    Raises:
        UsageError: the pattern is no regular expression.
    """

    def __init__(self, stored: bool, pattern: str = "") -> None:
        self._stored = stored
        try:
            self._pattern = re.compile(pattern) if pattern else None
        except re.error as error:
            raise UsageError(f"the unit pattern {pattern!r} is no regular expression: {error}") from error

    def of(self, frame: Frame, utc: str) -> str:
        """Return the unit of a frame that was taken at this time, UTC in ISO 8601."""
        found = None if self._pattern is None else self._pattern.search(frame.name)
        if found is not None:
            named = found.groupdict().get("unit") or next(iter(found.groups()), None)
            return named or found[0]
        if not self._stored:
            return utc[:MINUTE]
        file, mark, _ = frame.name.rpartition("#")
        return file if mark and PurePath(file).suffix else frame.name
