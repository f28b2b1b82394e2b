"""Finds out which board a frame shows: its serial number from a code on it, or from outside the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.preprocess import Image, Matrix
from sji_edge.core.protocols import Frame
from sji_edge.core.text import readable
from sji_edge.inspection.faults import Cause, Fault
from sji_edge.recipe.codes.area import SerialRule
from sji_edge.recipe.codes.reader import CodeReader


@dataclass(frozen=True, slots=True)
class Serial:
    """A serial number, or why there is none; both are empty where nobody asked for one."""

    text: str = ""
    fault: Fault | None = None

    @classmethod
    def missing(cls, reason: str) -> "Serial":
        """Return the serial of a board that should have one."""
        return cls(fault=Fault(Cause.NO_SERIAL, reason))


NO_SERIAL = Serial()
"""Of a board whose serial number nobody asked for."""


class SerialSource(Protocol):
    """Tells the serial number of a frame's board without looking at the picture."""

    def serial_of(self, frame: Frame) -> Serial:
        """Return the serial number; called once for each frame, in the order of capture."""

    def close(self) -> None:
        """Release the device; a second call does nothing."""


class BoardSerials:
    """The serial numbers of a run's boards.

    Args:
        rule: what a serial number looks like, and what happens without one.
        outside: tells it without the picture; it goes before the code.
        reader: reads the code on the board.
        units: read the codes of a panel's units, None for a unit without one.
    """

    def __init__(
        self,
        rule: SerialRule,
        *,
        outside: SerialSource | None = None,
        reader: CodeReader | None = None,
        units: Sequence[CodeReader | None] = (),
    ) -> None:
        self._rule = rule
        self._outside = outside
        self._reader = None if outside is not None else reader
        self._units = tuple(units)

    @property
    def reads(self) -> bool:
        """Whether a code is read from the picture."""
        return self._reader is not None

    @property
    def reads_units(self) -> bool:
        """Whether units have codes of their own."""
        return any(reader is not None for reader in self._units)

    @property
    def holds_back(self) -> bool:
        """Whether a board that would pass is REVIEW without its serial number."""
        return self._rule.unreadable == "review"

    @property
    def stops(self) -> bool:
        """Whether a board or a unit is ERROR without its serial number."""
        return self._rule.unreadable == "error"

    def of_frame(self, frame: Frame) -> Serial:
        """Return what is known before the picture is looked at."""
        if self._outside is None:
            return Serial()
        found = self._outside.serial_of(frame)
        if found.text and not self._rule.accepts(found.text):
            return Serial.missing(f"{readable(found.text[:80])} is not a serial number of this board")
        return found

    def on_board(self, pixels: Image, to_frame: Matrix | None) -> Serial:
        """Read the code on the board.

        Args:
            pixels: the frame.
            to_frame: from recipe to frame pixels; None if the frame could not be aligned. The code is then looked for
                at its place in the recipe.
        """
        if self._reader is None:
            return Serial()
        found = self._reader.read(pixels, np.eye(2, 3) if to_frame is None else to_frame)
        return Serial(found.text) if found.text else Serial.missing(found.reason)

    def on_units(
        self, pixels: Image, to_frame: Sequence[Matrix], skipped: NDArray[np.bool_] | None
    ) -> tuple[Serial, ...]:
        """Read the codes of the units that are not skipped.

        Args:
            pixels: the frame.
            to_frame: from each unit's to frame pixels.
            skipped: which units are not looked at; None for none.
        """
        found = []
        for place, (reader, onto) in enumerate(zip(self._units, to_frame, strict=True)):
            if reader is None or (skipped is not None and skipped[place]):
                found.append(Serial())
                continue
            reading = reader.read(pixels, onto)
            found.append(Serial(reading.text) if reading.text else Serial.missing(reading.reason))
        return tuple(found)

    def fault(self, serial: Serial) -> Fault | None:
        """Return the fault that makes a board ERROR, if its serial number is missing and must not be."""
        return serial.fault if self.stops else None
