"""The frames of a video file, every one of them."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import cv2

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SourceError
from sji_edge.core.options import Options, read_options
from sji_edge.core.protocols import Frame
from sji_edge.streams.cameras.capture import frame_of, open_capture

MISSING_SHARE, MISSING_FRAMES = 0.02, 2
"""A container's frame count may be an estimate; so much less than it says is no loss yet."""


class VideoSource:
    """Decodes a video file. A file that ends well before its container says is a lost source."""

    stored = True

    def __init__(self, path: Path, capture: cv2.VideoCapture, clock: Clock, colour: bool = True) -> None:
        self._path = path
        self._capture = capture
        self._clock = clock
        self._colour = colour
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> Self:
        """Open a video file; ``skip`` means nothing here.

        Raises:
            SourceError: no such file, or no video that can be decoded.
        """
        del skip
        read_options(Options, options, "a video source")
        path = Path(target)
        if not path.is_file():
            raise SourceError(f"no such video file {path}")
        capture = open_capture(str(path), cv2.CAP_ANY)
        if capture is None:
            raise SourceError(
                f"{path} is not a video that can be decoded",
                hint="copy it again, or convert it to MP4 or AVI",
            )
        return cls(path, capture, clock, colour)

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame; raises ``SourceError`` when the file ends early."""
        announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        index = 0
        while (image := self._read()) is not None:
            name = f"{self._path.name}#{index:06d}"
            yield frame_of(index, name, self._clock.monotonic_ns(), image, self._colour)
            index += 1
        if self._closed:
            return
        if index == 0 or announced - index > max(MISSING_FRAMES, MISSING_SHARE * announced):
            raise SourceError(
                f"{self._path} ends after {index} frames, {max(announced, 1)} were announced",
                hint="the file is truncated or damaged; copy it again",
            )

    def _read(self) -> Any:
        # A capture that is released while it decodes takes the process down.
        with self._lock:
            if self._closed:
                return None
            there, image = self._capture.read()
        return image if there else None

    def close(self) -> None:
        """Close the file, once the frame that it decodes is ready."""
        with self._lock:
            self._closed = True
            self._capture.release()
