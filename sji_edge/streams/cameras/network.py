"""A network camera: RTSP, or a stream over HTTP."""

from pathlib import Path
from urllib.parse import urlsplit

import cv2
from pydantic import Field

from sji_edge.core.clock import Clock
from sji_edge.core.errors import SourceError
from sji_edge.core.options import Options, read_options
from sji_edge.core.protocols import FrameSource
from sji_edge.streams.cameras.capture import open_capture
from sji_edge.streams.cameras.live import Grabber, LiveSource
from sji_edge.streams.cameras.local import CaptureGrabber
from sji_edge.streams.cameras.mjpeg import open_mjpeg
from sji_edge.streams.cameras.reconnect import RECONNECT_S, reconnecting
from sji_edge.streams.ffmpeg_log import Trust
from sji_edge.streams.redaction import redact

GRACE_S = 1.0
"""A read has its own timeout; if it has not ended this much later, it is abandoned."""


class NetworkOptions(Options):
    """``timeout``: seconds that opening and each frame may take; ``reconnect``: how long the camera may stay away."""

    timeout: float = Field(default=5.0, gt=0, le=600)
    reconnect: float = Field(default=RECONNECT_S, ge=0, le=86_400)


class NetworkSource:
    """Opens network streams."""

    @staticmethod
    def open(
        target: str, options: dict[str, str], *, clock: Clock, colour: bool, skip: frozenset[Path]
    ) -> FrameSource:
        """Open the URL ``target``; ``skip`` means nothing here.

        ``timeout`` and ``reconnect`` are removed from the URL's query; the rest of it is sent to the camera.
        A stream of JPEG images over HTTP is read part by part, so that a damaged part is noticed. Everything else
        is decoded by FFmpeg, which fills lost parts of a picture from the previous one: such frames are refused.

        Raises:
            SourceError: no answer within the timeout, access was refused, or it is not a stream.
        """
        del skip
        url, own = take_options(target, tuple(NetworkOptions.model_fields))
        settings = read_options(NetworkOptions, {**own, **options}, "a network source")
        label = redact(url)
        if not _has_host(url):
            raise SourceError(f"{label} names no host", hint="for example rtsp://10.0.0.7/stream")

        def reopen() -> FrameSource:
            grabber = _open(url, label, settings.timeout)
            return LiveSource(grabber, label, clock, colour, timeout_s=settings.timeout + GRACE_S)

        return reconnecting(reopen, label, settings.reconnect, clock)


def take_options(url: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Remove our options from a URL's query; the rest stays unchanged, character by character."""
    head, mark, query = url.partition("?")
    kept, own = [], {}
    for part in query.split("&") if mark else []:
        name, equals, value = part.partition("=")
        if equals and name in names:
            own[name] = value
        else:
            kept.append(part)
    return head + ("?" + "&".join(kept) if kept else ""), own


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _open(url: str, label: str, timeout_s: float) -> Grabber:
    if url.lower().startswith("http"):
        parts = open_mjpeg(url, label, timeout_s)
        if parts is not None:
            return parts
    milliseconds = round(1000 * timeout_s)
    capture = open_capture(
        url,
        cv2.CAP_FFMPEG,
        {cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC: milliseconds},
    )
    if capture is None:
        raise SourceError(
            f"{label} cannot be opened within {timeout_s:g} s",
            hint="check address, user and password, and that it is a video stream",
        )
    return CaptureGrabber(capture, label, Trust())
