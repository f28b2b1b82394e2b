"""Opening OpenCV captures without its messages on the terminal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import DataError
from sji_edge.core.preprocess import as_uint8
from sji_edge.core.protocols import Frame


def open_capture(target: str | int, backend: int) -> cv2.VideoCapture | None:
    """Open a file, a device path or a device index; None when OpenCV cannot.

    OpenCV's and FFmpeg's own complaints are held back: the caller says in one line what is wrong.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with _silenced():
        capture = cv2.VideoCapture(target, backend)
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
