"""The frames of a video file, every one of them."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import cv2

from sji_edge.core.clock import Clock
from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.images.read import MAX_PIXELS, decode_image
from sji_edge.core.options import Options, read_options
from sji_edge.core.protocols import Frame
from sji_edge.core.text import readable
from sji_edge.streams.cameras.capture import MOTION_JPEG, frame_of, open_capture, read_capture
from sji_edge.streams.ffmpeg_log import DAMAGED, Trust

MATROSKA = b"\x1a\x45\xdf\xa3"
"""A Matroska or WebM file holds a duration and no frame count, so that the count may be one too high."""
TEXT_BYTES = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}
HEAD_BYTES = 1024


class VideoSource:
    """Decodes a video file. A file that holds fewer frames than it announces counts as a lost source.

    Motion JPEG is taken from its container and decoded like any other JPEG file. For the other codecs a frame
    that the decoder complained about is given without pixels, and so are the frames that build on it.
    """

    stored = True

    def __init__(
        self,
        path: Path,
        capture: cv2.VideoCapture,
        clock: Clock,
        colour: bool = True,
        estimated: bool = False,
    ) -> None:
        self._path = path
        self._capture = capture
        self._clock = clock
        self._colour = colour
        self._estimated = estimated
        self._raw = capture.get(cv2.CAP_PROP_FORMAT) == -1
        self._trust = Trust()
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls, target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> Self:
        """Open a video file; ``skip`` means nothing here.

        Raises:
            SourceError: no such file, a text such as a playlist, or no video that can be decoded.
        """
        del skip
        read_options(Options, options, "a video source")
        path = Path(target)
        if not path.is_file():
            raise SourceError(f"no such video file {path}")
        head = _head(path)
        if head and TEXT_BYTES.issuperset(head):
            raise SourceError(
                f"{path} is a text file, not a video",
                hint="a playlist is not followed; name the video itself",
            )
        capture = open_capture(str(path.absolute()), cv2.CAP_FFMPEG)
        if capture is not None and int(capture.get(cv2.CAP_PROP_FOURCC)) in MOTION_JPEG:
            capture.release()
            capture = open_capture(str(path.absolute()), cv2.CAP_FFMPEG, {cv2.CAP_PROP_FORMAT: -1})
        if capture is None:
            raise SourceError(
                f"{path} is not a video that can be decoded",
                hint="copy it again, or convert it to MP4 or AVI",
            )
        width, height = (capture.get(at) for at in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            capture.release()
            raise SourceError(
                f"{path} has frames of {width:g}x{height:g}; the limit is {MAX_PIXELS / 1e6:g} million pixels"
            )
        return cls(path, capture, clock, colour, head.startswith(MATROSKA))

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame; raises ``SourceError`` when there are fewer than the file announces."""
        announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)) - self._estimated
        index = 0
        while (frame := self._read(index)) is not None:
            yield frame
            index += 1
        if not self._closed and index < max(announced, 1):
            raise SourceError(
                f"{self._path} yielded {index} frames of the {max(announced, 1)} that it announces",
                hint="the file is truncated or damaged; copy it again",
            )

    def _read(self, index: int) -> Frame | None:
        # Releasing a capture while it decodes crashes the process.
        with self._lock:
            image = None if self._closed else read_capture(self._capture)
            trusted = image is not None and (self._raw or self._trust.in_next_frame(self._capture))
        if image is None:
            return None
        name = readable(f"{self._path.name}#{index:06d}")
        now_ns = self._clock.monotonic_ns()
        if self._raw:
            return self._from_jpeg(index, name, now_ns, image)
        if not trusted:
            return Frame(index, name, now_ns, None, DAMAGED)
        return frame_of(index, name, now_ns, image, self._colour)

    def _from_jpeg(self, index: int, name: str, captured_ns: int, packet: Any) -> Frame:
        try:
            return Frame(index, name, captured_ns, decode_image(packet.tobytes(), name, self._colour))
        except DataError as error:
            return Frame(index, name, captured_ns, None, error.message)

    def close(self) -> None:
        """Close the file, once the frame that it decodes is ready."""
        with self._lock:
            self._closed = True
            self._capture.release()


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
