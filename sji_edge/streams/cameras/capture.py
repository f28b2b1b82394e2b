"""Opens OpenCV captures without its messages on the terminal."""

import os
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError, EnvironmentMismatchError, SourceError
from sji_edge.core.images.quiet import quiet_opencv
from sji_edge.core.images.read import as_uint8
from sji_edge.core.protocols import Frame
from sji_edge.core.text import one_line
from sji_edge.streams.ffmpeg_log import FFMPEG_LOG

MOTION_JPEG = frozenset(
    cv2.VideoWriter.fourcc(*name) for name in ("MJPG", "mjpg", "JPEG", "jpeg", "mjpa", "AVRn", "dmb1")
)
"""Codes of videos in which every frame is a JPEG file."""


def open_capture(
    target: str | int, backend: int, settings: Mapping[int, int] | None = None
) -> cv2.VideoCapture | None:
    """Open a file, a URL, a device path or a device index; None when OpenCV cannot.

    OpenCV's and FFmpeg's own messages are suppressed: the caller reports the fault in one line, and FFmpeg's would show
    the URL with its password. FFmpeg decodes in one thread, so that each complaint belongs to a known frame.

    Args:
        target: what to open.
        backend: OpenCV's constant.
        settings: properties that must hold from the start, such as timeouts.

    Raises:
        EnvironmentMismatchError: this OpenCV's FFmpeg cannot report damaged frames.
    """
    ffmpeg = backend == cv2.CAP_FFMPEG
    if ffmpeg:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    wanted = {**({cv2.CAP_PROP_N_THREADS: 1} if ffmpeg else {}), **(settings or {})}
    parameters = [number for pair in wanted.items() for number in pair]
    with quiet_opencv():
        capture = cv2.VideoCapture(target, backend, parameters)
    if not capture.isOpened():
        capture.release()
        return None
    if ffmpeg and not FFMPEG_LOG.install():
        capture.release()
        raise EnvironmentMismatchError(
            "this OpenCV build hides its FFmpeg library, so damaged frames could not be detected",
            hint="install the opencv-python package from PyPI",
        )
    return capture


def read_capture(capture: cv2.VideoCapture) -> NDArray[np.generic] | None:
    """Read the next frame; None at the end, or when the device does not answer in time.

    Raises:
        SourceError: OpenCV failed, for example because memory ran out.
    """
    try:
        with quiet_opencv():
            there, image = capture.read()
    except (cv2.error, MemoryError) as error:
        raise SourceError(
            f"a frame cannot be read: {one_line(error)}", hint="check the frame size"
        ) from error
    return image if there else None


def frame_of(index: int, name: str, captured_ns: int, image: NDArray[np.generic], colour: bool) -> Frame:
    """Wrap a captured image; samples that are not 8 or 16 bits unsigned make a frame without pixels."""
    try:
        return Frame(index, name, captured_ns, as_uint8(image, name, colour=colour))
    except DataError as error:
        return Frame(index, name, captured_ns, None, error.message)
