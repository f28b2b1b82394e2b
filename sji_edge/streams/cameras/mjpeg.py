"""Motion JPEG over HTTP: one image a part of ``multipart/x-mixed-replace``, read to its end or not at all.

A general decoder fills the missing rest of a cut image with grey and calls it a frame.
"""

import http.client
import ssl
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from sji_edge.core.errors import DataError, SourceError
from sji_edge.core.images.read import decode_image
from sji_edge.streams.cameras.live import Grabbed

MAX_PART_BYTES = 64 << 20
MAX_LINE_BYTES = 4096
MAX_HEADERS = 64
END_OF_IMAGE = b"\xff\xd9"


def open_mjpeg(url: str, label: str, timeout_s: float) -> "PartGrabber | None":
    """Ask a URL for images; None when it answers with something else.

    User and password of the URL serve Basic and Digest authentication. No proxy is asked: it would get them.

    Raises:
        SourceError: no answer, or it refused.
    """
    bare, handlers = _with_credentials(url)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)
    try:
        answer = opener.open(bare, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        hint = "check user and password" if error.code in (401, 403) else "check the path"
        raise SourceError(f"{label} answers {error.code} {error.reason}", hint=hint) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceError(
            f"{label} cannot be reached: {_reason(error)}", hint="check address and cable"
        ) from None
    if answer.headers.get_content_type() != "multipart/x-mixed-replace":
        answer.close()
        return None
    boundary = (answer.headers.get_param("boundary") or "").removeprefix("--")
    return PartGrabber(answer, label, boundary.encode("latin-1", "replace"))


def _reason(error: Exception) -> str:
    """Say why, without the error's own text: that may hold the URL."""
    inner = getattr(error, "reason", None)
    cause = inner if isinstance(inner, Exception) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    return getattr(cause, "strerror", None) or type(cause).__name__


def _with_credentials(url: str) -> tuple[str, list[urllib.request.BaseHandler]]:
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    if not at:
        return bare, []
    user, _, password = credentials.partition(":")
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, bare, unquote(user), unquote(password))
    return bare, [
        _Digest(passwords),
        _Basic(passwords),
    ]


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Lets go of the refusal's connection before it asks again."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


class _Basic(urllib.request.HTTPBasicAuthHandler):
    """Lets go of the refusal's connection before it asks again."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


class PartGrabber:
    """Reads the parts of an answer.

    Args:
        stream: the answer's body.
        label: names the source in errors.
        boundary: what stands between the parts, without its dashes.
    """

    def __init__(self, stream: IO[bytes], label: str, boundary: bytes) -> None:
        self._stream = stream
        self._label = label
        self._boundary = b"--" + boundary
        self._parts = 0

    def grab(self) -> Grabbed:
        """Read the next part; one that is no whole image is an error of that frame alone.

        Raises:
            SourceError: the connection ended, or was silent for its timeout.
        """
        try:
            length = self._headers()
            data = self._body() if length is None else self._stream.read(length)
        except (OSError, http.client.HTTPException) as error:
            what = "it fell silent" if isinstance(error, TimeoutError) else type(error).__name__
            raise self._lost(what) from error
        if length is not None and len(data) < length:
            raise self._lost(f"its last image was cut after {len(data)} of {length} bytes")
        self._parts += 1
        try:
            return Grabbed(decode_image(data, f"image {self._parts} of {self._label}"))
        except DataError as error:
            return Grabbed(None, error.message)

    def _headers(self) -> int | None:
        """Read up to a part's first byte; returns its length where the part says it."""
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
                length = int(value)
                if length > MAX_PART_BYTES:
                    raise self._lost(f"it announces an image of {length} bytes")
        raise self._lost("it sends no image")

    def _line(self) -> bytes:
        line = self._stream.readline(MAX_LINE_BYTES)
        if not line:
            raise self._lost("the camera closed the connection")
        return line

    def _body(self) -> bytes:
        """Read up to the image's end marker, where the part does not say its length."""
        data = bytearray()
        while len(data) < MAX_PART_BYTES:
            line = self._stream.readline(MAX_PART_BYTES - len(data))
            if not line:
                raise self._lost(f"its last image was cut after {len(data)} bytes")
            data += line
            if data.rstrip(b"\r\n").endswith(END_OF_IMAGE):
                return bytes(data)
        raise self._lost(f"it sends an image of more than {MAX_PART_BYTES} bytes")

    def _lost(self, why: str) -> SourceError:
        return SourceError(
            f"{self._label} was lost after {self._parts} frames: {why}", hint="check its cable and its power"
        )

    def release(self) -> None:
        """Close the connection."""
        self._stream.close()
