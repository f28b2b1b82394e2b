"""Judge frames from a source of your own: any object that yields frames and can be closed."""

import time
from collections.abc import Iterator

import cv2

import sji_edge as sji


class Replay:
    """Yields the pictures of a list; a real source would wait for the camera's trigger."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths
        self._closed = False

    def __iter__(self) -> Iterator[sji.Frame]:
        for index, path in enumerate(self._paths):
            if self._closed:
                return
            pixels = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
            error = "" if pixels is not None else f"cannot read {path}"
            yield sji.Frame(index, path, time.perf_counter_ns(), pixels, error)

    def close(self) -> None:
        self._closed = True


with sji.Inspector(recipe="boards/") as inspector:
    summary = inspector.run(
        Replay(["boards/board00.png", "boards/board01.png"]),
        on_board=lambda record: print(record.frame_name, record.verdict, record.cause),
    )
print(f"{summary.captured} frames, {summary.judged} judged")
