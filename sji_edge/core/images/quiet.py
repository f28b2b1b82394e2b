"""Suppresses what OpenCV and its libraries write to standard error during a call."""

import ctypes
import threading
from collections.abc import Callable, Iterator
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


MOST_HELD = 1 << 20
"""Maximum number of bytes of suppressed text in memory; then it is overwritten."""


class _CStderr:
    """Replaces the stream that C code calls ``stderr`` by one in memory while any thread is inside.

    libpng writes its warnings there and offers no other way to receive them. Python's own ``sys.stderr`` and the file
    descriptor 2 are not touched, so that no line of ours is lost in another thread. The memory is shared: a line shows
    that something was written during a call, but not by which thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._known = False
        self._real: int | None = None

    def _find(self) -> None:
        self._known = True
        try:
            self._library = ctypes.CDLL(None)
            self._pointer = ctypes.c_void_p.in_dll(self._library, "stderr")
            self._library.open_memstream.restype = ctypes.c_void_p
            self._library.ftell.restype = ctypes.c_long
            self._buffer, self._size = ctypes.c_void_p(), ctypes.c_size_t()
            self._memory = self._library.open_memstream(ctypes.byref(self._buffer), ctypes.byref(self._size))
        except (OSError, ValueError, AttributeError):
            # Another C library: its lines are shown, and every file counts as one with a warning.
            self._memory = None

    def enter(self) -> int:
        with self._lock:
            if not self._known:
                self._find()
            if self._memory is None:
                return -1
            if self._inside == 0:
                if self._told() > MOST_HELD:
                    self._library.fseek(ctypes.c_void_p(self._memory), ctypes.c_long(0), 0)
                self._real, self._pointer.value = self._pointer.value, self._memory
            self._inside += 1
            return self._told()

    def leave(self) -> int:
        with self._lock:
            if self._memory is None:
                return 0
            told = self._told()
            self._inside -= 1
            if self._inside == 0:
                self._pointer.value = self._real
            return told

    def _told(self) -> int:
        return int(self._library.ftell(ctypes.c_void_p(self._memory)))


_STDERR = _CStderr()


@contextmanager
def c_library_silenced() -> Iterator[Callable[[], bool]]:
    """Keep C code from writing to standard error inside the block.

    Yields:
        A function that tells, after the block, whether anything was written during it, by any thread.
    """
    before = _STDERR.enter()
    after = before
    try:
        yield lambda: after != before
    finally:
        after = _STDERR.leave()
