"""Opens what tells the serial numbers of a run's boards: the code in the recipe, the frames' names, or a scanner."""

import re

from sji_edge.core.clock import Clock
from sji_edge.core.errors import UsageError
from sji_edge.core.protocols import Frame
from sji_edge.inspection.judging.serials import BoardSerials, Serial, SerialSource
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.codes.area import SerialRule
from sji_edge.recipe.codes.reader import CodeReader
from sji_edge.streams.scanner import LineScanner

NAME, SCANNER = "name:", "scanner:"


def board_serials(recipe: Recipe | None, outside: SerialSource | None, clock: Clock) -> BoardSerials | None:
    """Return what finds the serial numbers of a recipe's boards; None where nothing tells them.

    Args:
        recipe: its ``code`` and ``serial`` apply.
        outside: tells them without the picture, instead of the code.
        clock: measures how long a code is read.

    Raises:
        MissingExtraError: the recipe has a code, and zxing-cpp is not installed.
    """
    rule = SerialRule() if recipe is None else recipe.board.serial
    area = None if recipe is None else recipe.board.code
    reader = CodeReader(area, rule, clock) if area is not None and outside is None else None
    codes = [] if recipe is None else [unit.code for unit in recipe.board.units]
    units = [None if code is None else CodeReader(code, rule, clock) for code in codes]
    if outside is None and reader is None and not any(units):
        return None
    return BoardSerials(rule, outside=outside, reader=reader, units=units)


def open_serial_source(text: str, clock: Clock) -> SerialSource:
    """Open what a user named: ``name:PATTERN`` or ``scanner:PATH``.

    Raises:
        UsageError: it is neither of the two, or the pattern is not a regular expression.
        SourceError: the scanner cannot be opened.
    """
    if text.startswith(SCANNER):
        return ScannedSerials(LineScanner(text.removeprefix(SCANNER), clock))
    if text.startswith(NAME):
        return NamedSerials(text.removeprefix(NAME))
    raise UsageError(
        f"serial numbers cannot come from {text[:80]!r}",
        hint="write name:PATTERN for a part of the frame's name, or scanner:/dev/ttyACM0 (scanner:- if it types)",
    )


class NamedSerials:
    """Finds the serial number in a frame's name.

    Args:
        pattern: a regular expression; the serial number is its group ``serial``, or its first group, or all it matches.

    Raises:
        UsageError: it is not a regular expression.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise UsageError(
                f"{pattern[:80]!r} is not a regular expression: {error}", hint="for example name:SN[0-9]{8}"
            ) from error
        names = self._pattern.groupindex
        self._group: str | int = "serial" if "serial" in names else min(1, self._pattern.groups)

    def serial_of(self, frame: Frame) -> Serial:
        """Return the part of the name that the pattern describes."""
        found = self._pattern.search(frame.name)
        text = found.group(self._group) if found else None
        return Serial(text) if text else Serial.missing(f"the pattern does not match the name {frame.name}")

    def close(self) -> None:
        """Do nothing."""


class ScannedSerials:
    """Takes the code that was scanned between the last frame and this one; two different ones are none.

    Args:
        scanner: closed with this.
    """

    def __init__(self, scanner: LineScanner) -> None:
        self._scanner = scanner

    def serial_of(self, frame: Frame) -> Serial:
        """Return what was scanned before this frame was captured."""
        # In the order of the scans, each once.
        scanned = list(dict.fromkeys(self._scanner.take(frame.captured_ns)))
        if len(scanned) == 1:
            return Serial(scanned[0])
        if scanned:
            return Serial.missing(
                f"{len(scanned)} codes were scanned since the last frame: {', '.join(scanned)[:120]}"
            )
        failure = self._scanner.failure
        return Serial.missing(f"nothing was scanned since the last frame{f' ({failure})' if failure else ''}")

    def close(self) -> None:
        """Close the scanner."""
        self._scanner.close()
