"""Suppresses OpenCV's own log lines during a call."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2


class _Level:
    """OpenCV has one log level per process: the first to enter lowers it, the last to leave restores it."""

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
    """Keep OpenCV from writing to standard error inside the block; its complaints become our own errors."""
    _LEVEL.enter()
    try:
        yield
    finally:
        _LEVEL.leave()
