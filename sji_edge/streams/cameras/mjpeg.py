"""Motion JPEG over HTTP: each part of ``multipart/x-mixed-replace`` is one image, read completely or not at all.

A general decoder would fill the missing rest of a cut image with grey and deliver it as a frame.
"""

import http.client
import time

from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.images.read import decode_image
from sji_edge.core.text import amount
from sji_edge.streams.cameras.http_open import OpenAnswer, open_url
from sji_edge.streams.cameras.live import Grabbed

MAX_PART_BYTES = 64 << 20
MAX_LINE_BYTES = 4096
MAX_HEADERS = 64
CHUNK_BYTES = 1 << 16
START_OF_IMAGE, END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
START_OF_SCAN = 0xDA


def open_mjpeg(url: str, label: str, timeout_s: float) -> "PartGrabber | None":
    """Request images from a URL; None when it answers with something else.

    Raises:
        SourceError: no answer in time, or the camera refused.
    """
    answer = open_url(url, label, timeout_s)
    headers = answer.body.headers
    if headers.get_content_type() != "multipart/x-mixed-replace":
        answer.close()
        return None
    boundary = str(headers.get_param("boundary") or "").removeprefix("--")
    return PartGrabber(answer, label, boundary.encode("latin-1", "replace"), timeout_s)


class PartGrabber:
    """Reads the parts of an answer.

    Args:
        answer: the open answer; closed with this object.
        label: names the source in errors.
        boundary: the separator of the parts, without its dashes.
        timeout_s: maximum time for a whole part, however its bytes arrive.
    """

    def __init__(self, answer: OpenAnswer, label: str, boundary: bytes, timeout_s: float) -> None:
        self._answer = answer
        self._label = label
        self._boundary = b"--" + boundary
        self._timeout_s = timeout_s
        self._deadline = 0.0
        self._buffer = bytearray()
        self._parts = 0

    def grab(self) -> Grabbed:
        """Read the next part; one that is not a whole, undamaged image is an error of that frame alone.

        Raises:
            SourceError: the connection ended, or the part did not arrive in time.
        """
        self._deadline = time.monotonic() + self._timeout_s
        try:
            length = self._headers()
            data = self._body_to_end() if length is None else self._body(length)
        except (OSError, ValueError, http.client.HTTPException) as error:
            what = (
                "no whole image arrived in time" if isinstance(error, TimeoutError) else type(error).__name__
            )
            raise self._lost(what) from error
        self._parts += 1
        try:
            return Grabbed(decode_image(data, f"image {self._parts} of {self._label}"))
        except DataError as error:
            return Grabbed(None, error.message)

    def _more(self) -> bool:
        """Add the next bytes to the buffer; False at the end of the connection."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._answer.socket.settimeout(left_s)
        data = self._answer.body.read1(CHUNK_BYTES)
        self._buffer += data
        return bool(data)

    def _take(self, length: int) -> bytes:
        data = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return data

    def _headers(self) -> int | None:
        """Read up to a part's first byte; returns its length if the part states it."""
        while not (line := self._line()).startswith(self._boundary):
            pass
        if line.strip() == self._boundary + b"--":
            raise self._lost("the camera ended the stream")
        length = None
        for _ in range(MAX_HEADERS):
            name, _, value = self._line().strip().partition(b":")
            if not name:
                return length
            if name.lower() == b"content-length" and value.strip().isdigit():
                length = int(value[:20])
                if length > MAX_PART_BYTES:
                    raise self._lost(f"it announces an image of {length} bytes")
        raise self._lost("it sends no image")

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n", 0, MAX_LINE_BYTES)) < 0:
            if len(self._buffer) >= MAX_LINE_BYTES:
                return self._take(MAX_LINE_BYTES)
            if not self._more():
                raise self._lost("the camera closed the connection")
        return self._take(end + 1)

    def _body(self, length: int) -> bytes:
        while len(self._buffer) < length:
            if not self._more():
                raise self._lost(f"its last image was cut after {len(self._buffer)} of {length} bytes")
        return self._take(length)

    def _body_to_end(self) -> bytes:
        """Read up to the image's end marker, for a part that does not state its length."""
        search = _EndSearch()
        while (end := search.end_in(self._buffer)) < 0:
            if len(self._buffer) > MAX_PART_BYTES:
                raise self._lost(f"it sends an image of more than {MAX_PART_BYTES} bytes")
            if not self._more():
                raise self._lost(f"its last image was cut after {len(self._buffer)} bytes")
        return self._take(end)

    def _lost(self, why: str) -> SourceError:
        return SourceError(
            f"{self._label} was lost after {amount(self._parts, 'frame')}: {why}",
            hint="check its cable and its power",
        )

    def stop(self) -> None:
        """End a ``grab`` that is waiting in another thread."""
        self._answer.close()

    def release(self) -> None:
        """Close the connection."""
        self._answer.close()


class _EndSearch:
    """Finds the end of a JPEG that grows, looking at each byte once; a thumbnail in its header has an end as well."""

    def __init__(self) -> None:
        self._place = len(START_OF_IMAGE)
        self._in_scan = False

    def end_in(self, data: bytearray) -> int:
        """Return where the image ends in ``data``, or -1 while its end has not arrived."""
        if len(data) >= 2 and not data.startswith(START_OF_IMAGE):
            self._in_scan = True
        while not self._in_scan and len(data) >= self._place + 4:
            if data[self._place] != 0xFF:
                self._in_scan = True
                break
            self._in_scan = data[self._place + 1] == START_OF_SCAN
            self._place += 2 + int.from_bytes(data[self._place + 2 : self._place + 4], "big")
        if not self._in_scan:
            return -1
        found = data.find(END_OF_IMAGE, min(self._place, len(data)))
        # The last byte may be the first half of the marker.
        self._place = max(self._place, len(data) - 1)
        return -1 if found < 0 else found + len(END_OF_IMAGE)
