"""Opening OpenCV captures without its messages on the terminal."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError
from sji_edge.core.images.read import as_uint8
from sji_edge.core.protocols import Frame


def open_capture(
    target: str | int, backend: int, settings: Mapping[int, int] | None = None
) -> cv2.VideoCapture | None:
    """Open a file, a URL, a device path or a device index; None when OpenCV cannot.

    OpenCV's and FFmpeg's own complaints are held back: the caller says in one line what is wrong, and FFmpeg's
    name the URL with its password.

    Args:
        target: what to open.
        backend: OpenCV's constant.
        settings: properties that must hold from the start, such as timeouts.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    parameters = [number for pair in (settings or {}).items() for number in pair]
    with _silenced():
        capture = cv2.VideoCapture(target, backend, parameters)
    # A read that runs into its timeout is a warning to OpenCV, and a SourceError here.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    if capture.isOpened():
        return capture
    capture.release()
    return None


@contextmanager
def _silenced() -> Iterator[None]:
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def frame_of(index: int, name: str, captured_ns: int, image: NDArray[np.generic], colour: bool) -> Frame:
    """Wrap a captured image; samples that are no 8 or 16 bits unsigned make a frame without pixels."""
    try:
        return Frame(index, name, captured_ns, as_uint8(image, name, colour=colour))
    except DataError as error:
        return Frame(index, name, captured_ns, None, error.message)
