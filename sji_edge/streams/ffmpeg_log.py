"""Counts the complaints of FFmpeg's decoders.

OpenCV delivers a frame that FFmpeg repaired like any other, and offers no way to detect it. FFmpeg does report it in
its log; this module receives that log instead of letting it go to standard error.
"""

import atexit
import ctypes
import re
import threading
from pathlib import Path

import cv2

ERROR, WARNING = 16, 24
"""FFmpeg's levels; a smaller number is more serious."""
DECODER = b"AVCodecContext"
LIBRARY = re.compile(r"libavutil[-.\w]*\.(so|dylib)[.\d]*$")
MAPPED = Path("/proc/self/maps")

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class FfmpegLog:
    """Counts the complaints of all decoders of this process; every message is kept off the terminal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._complaints = 0
        self._library: ctypes.CDLL | None = None
        self._callback = _Callback(self._receive)

    def install(self) -> bool:
        """Receive FFmpeg's log from now on; False where OpenCV's FFmpeg library cannot be found."""
        with self._lock:
            if self._library is None:
                path = _loaded_library()
                if path is None:
                    return False
                self._library = ctypes.CDLL(path)
                atexit.register(self._uninstall)
            # OpenCV may have set its own receiver when it opened its first capture.
            self._library.av_log_set_callback(self._callback)
            return True

    def _uninstall(self) -> None:
        """Leave no pointer into Python behind: a thread of FFmpeg may outlive it."""
        if self._library is not None:
            self._library.av_log_set_level(-8)
            default = ctypes.cast(self._library.av_log_default_callback, ctypes.c_void_p)
            self._library.av_log_set_callback(default)

    @property
    def complaints(self) -> int:
        """Errors of any part of FFmpeg and warnings of its decoders, since the process started."""
        return self._complaints

    def _receive(self, origin: int | None, level: int, text: bytes | None, values: int | None) -> None:
        del text, values
        if level <= ERROR or (level <= WARNING and _class_name(origin) == DECODER):
            with self._lock:
                self._complaints += 1


def _class_name(origin: int | None) -> bytes | None:
    """Return the name of the FFmpeg object that logs: its first field points to a class, whose first is the name."""
    if not origin:
        return None
    found = ctypes.c_void_p.from_address(origin).value
    return ctypes.c_char_p.from_address(found).value if found else None


def _loaded_library() -> str | None:
    """Find the copy of libavutil that OpenCV loaded; another copy would know nothing of its decoders."""
    if MAPPED.exists():
        mapped = MAPPED.read_text(errors="replace").splitlines()
        return next((line.split(maxsplit=5)[-1] for line in mapped if LIBRARY.search(line)), None)
    beside = Path(cv2.__file__).parent
    found = [path for folder in (beside, beside / ".dylibs") for path in folder.glob("libavutil*")]
    return str(found[0]) if found else None


FFMPEG_LOG = FfmpegLog()

REORDERED_FRAMES = 16
"""Maximum number of frames by which a video is reordered: a complaint may belong to any frame this near."""
KEY_FRAME = ord("I")


class Trust:
    """Tells for each frame of one capture whether its decoder complained about it or about what it builds on.

    After a complaint, no frame is trusted until the first key frame that was decoded after the last complaint.
    """

    def __init__(self, log: FfmpegLog = FFMPEG_LOG) -> None:
        self._log = log
        self._seen = log.complaints
        self._since_complaint: int | None = None

    def in_next_frame(self, capture: cv2.VideoCapture) -> bool:
        """Tell whether the frame that was just read is undamaged."""
        complaints = self._log.complaints
        if complaints != self._seen:
            self._seen, self._since_complaint = complaints, 0
            return False
        if self._since_complaint is None:
            return True
        self._since_complaint += 1
        key = int(capture.get(cv2.CAP_PROP_FRAME_TYPE)) == KEY_FRAME
        if key and self._since_complaint > REORDERED_FRAMES:
            self._since_complaint = None
            return True
        return False


DAMAGED = "the video decoder reported damaged data in this frame, or in one that it builds on"
