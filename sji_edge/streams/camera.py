"""A camera of the operating system, by its index."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SourceError
from sji_edge.core.protocols import Frame
from sji_edge.streams.capture import frame_of, open_capture
from sji_edge.streams.spec import refuse_options


class CameraSource:
    """Reads a camera until it is closed. A camera that stops giving frames is a lost source."""

    def __init__(self, index: int, capture: cv2.VideoCapture, clock: Clock, colour: bool = True) -> None:
        self._index = index
        self._capture = capture
        self._clock = clock
        self._colour = colour

    @classmethod
    def open(
        cls, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> Self:
        """Open the camera with index ``target``; ``skip`` means nothing here.

        Raises:
            SourceError: no such camera, or it is busy.
        """
        del skip
        refuse_options("camera", options)
        index, linux = int(target), sys.platform.startswith("linux")
        device = Path(f"/dev/video{index}")
        if linux and not device.exists():
            raise SourceError(
                f"no camera {index}: {device} does not exist", hint="plug it in, or name another (camera1)"
            )
        capture = open_capture(index, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
        if capture is None:
            raise SourceError(
                f"camera {index} cannot be opened", hint="is another program using it, may you read it?"
            )
        # Where the driver heeds it, a frame read is then never older than one frame.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return cls(index, capture, clock, colour)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames without end; raises ``SourceError`` when the camera gives none."""
        index = 0
        while self._capture.isOpened():
            there, image = self._capture.read()
            if not there:
                raise SourceError(
                    f"camera {self._index} was lost after {index} frames", hint="check its cable"
                )
            yield frame_of(
                index, f"camera{self._index}#{index:06d}", self._clock.monotonic_ns(), image, self._colour
            )
            index += 1

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()
