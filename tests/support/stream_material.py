"""Images and clips for the tests of sources."""

import threading

import cv2
import numpy as np

from sji_edge.core.clock import SystemClock
from sji_edge.streams.spec import open_source

CLOCK = SystemClock()
SIZE = (64, 48)


def image(level):
    return np.full((SIZE[1], SIZE[0], 3), level, np.uint8)


def jpeg(level):
    return cv2.imencode(".jpg", image(level))[1].tobytes()


def write_images(folder, names, size=(12, 10)):
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full(size, 10 * number + 5, np.uint8))
    return folder


def write_video(path, frames):
    # OpenCV's own writer: FFmpeg keeps the log level of its first use in the process.
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE)
    for number in range(frames):
        writer.write(image(20 * (number % 10) + 20))
    writer.release()
    return path


def read_all(text, **options):
    source = open_source(str(text), CLOCK, **options)
    try:
        return list(source)
    finally:
        source.close()
        source.close()


def read_some(source, count):
    frames = []
    for frame in source:
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


class Reading:
    """Iterates a source in its own thread."""

    def __init__(self, source):
        self.frames = []
        self.error = None
        self._source = source
        self._some = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            for frame in self._source:
                with self._some:
                    self.frames.append(frame)
                    self._some.notify_all()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        self._source.close()
        with self._some:
            self._some.notify_all()

    def wait_for(self, wanted, timeout_s=5.0):
        """Wait until ``wanted(frames)`` is true; return False after a timeout."""
        with self._some:
            return self._some.wait_for(lambda: wanted(self.frames), timeout_s)

    def ended(self, timeout_s):
        self._thread.join(timeout_s)
        return not self._thread.is_alive()
