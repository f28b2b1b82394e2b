"""OpenCV's own log lines, held back for the time of a call."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2


class _Level:
    """OpenCV's log level is one for the process: the first to enter lowers it, the last to leave puts it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 0

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                cv2.utils.logging.setLogLevel(self._before)


_LEVEL = _Level()


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from writing to standard error inside the block: what it has to say becomes our own error."""
    _LEVEL.enter()
    try:
        yield
    finally:
        _LEVEL.leave()
