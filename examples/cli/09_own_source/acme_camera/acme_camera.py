"""A source of your own for ``sji-edge infer --stream acme://LINE?boards=N``: here it replays stored pictures."""

from collections.abc import Iterator
from pathlib import Path

import cv2

from sji_edge.core.clock import Clock
from sji_edge.core.options import Options, read_options
from sji_edge.core.protocols import Frame


class AcmeOptions(Options):
    """What may follow the question mark."""

    boards: int = 1


class AcmeCamera:
    """Yields one frame for each board; a real one would wait for the camera's trigger.

    Args:
        line: name of the line, shown in the records.
        boards: number of boards.
        clock: stamps each frame.
    """

    def __init__(self, line: str, boards: int, clock: Clock) -> None:
        self._line = line
        self._boards = boards
        self._clock = clock
        self._closed = False

    @classmethod
    def open(
        cls, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> "AcmeCamera":
        """Open the camera of a line; raises ``UsageError`` for an option that it does not have."""
        del colour, skip
        return cls(target, read_options(AcmeOptions, options, "an acme source").boards, clock)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        for index in range(self._boards):
            if self._closed:
                return
            pixels = cv2.imread(f"boards/board{index:02d}.png", cv2.IMREAD_GRAYSCALE)
            yield Frame(index, f"{self._line}#{index}", self._clock.monotonic_ns(), pixels)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
