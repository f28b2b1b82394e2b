"""Compares reading a folder image by image with the source, which decodes ahead.

2448x2048 boards as PNG, grey and colour. Plain ``read_image`` calls alternate with the source; once without other work,
and once with a consumer that takes about as long per frame as decoding does, on one core and without the interpreter's
lock, as the loop does.

    python benchmarks/folder_reading.py

Exit code 1 if reading ahead gains nothing with such a consumer (median of the rounds).
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from sji_edge.core.clock import SystemClock
from sji_edge.core.images.read import read_image
from sji_edge.data.synthetic.boards import SyntheticBoards
from sji_edge.streams.files.folder import READERS, FolderSource

SIZE = (2448, 2048)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    worst = np.inf
    with tempfile.TemporaryDirectory() as place:
        for kind, paths in write_frames(Path(place), options.images):
            alone_s = time_of(plain(paths[:4]), lambda: None) / 4
            work = consumer(alone_s)
            for what, between in (
                ("without other work", lambda: None),
                ("with an equally slow consumer", work),
            ):
                ratios, rates = [], []
                for number in range(options.rounds):
                    sides = [plain(paths), iter(FolderSource(paths, SystemClock()))]
                    order = (0, 1) if number % 2 == 0 else (1, 0)
                    took = dict(zip(order, (time_of(sides[side], between) for side in order), strict=True))
                    ratios.append(took[0] / took[1])
                    rates.append([len(paths) / took[side] for side in (0, 1)])
                one, ahead = np.median(rates, axis=0)
                print(
                    f"{kind}, {what}: {one:.1f} frames/s one by one, {ahead:.1f} with {READERS} readers; "
                    f"gain {statistics.median(ratios):.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f})"
                )
                if between is work:
                    worst = min(worst, statistics.median(ratios))
    return int(worst < 1.0)


def write_frames(place: Path, images: int) -> Iterator[tuple[str, list[Path]]]:
    """Write boards as grey and as colour PNG; yields each kind with its paths."""
    boards = SyntheticBoards(0, 100, 0.1, frame=SIZE)
    drawn = [boards.render(index).image for index in range(4)]
    for kind in ("grey", "colour"):
        paths = [place / f"{kind}{index}.png" for index in range(len(drawn))]
        for path, image in zip(paths, drawn, strict=True):
            cv2.imwrite(str(path), image if kind == "grey" else cv2.merge([image, cv2.add(image, 3), image]))
        yield kind, [paths[index % len(paths)] for index in range(images)]


def plain(paths: list[Path]) -> Iterator[object]:
    return (read_image(path) for path in paths)


def consumer(seconds: float) -> Callable[[], None]:
    """Return work of about this duration on one core that does not hold the interpreter's lock."""
    block = bytes(4 << 20)
    started = time.perf_counter()
    hashlib.sha256(block).digest()
    repeats = max(1, round(seconds / (time.perf_counter() - started)))

    def work() -> None:
        for _ in range(repeats):
            hashlib.sha256(block).digest()

    return work


def time_of(frames: Iterator[object], between: Callable[[], None]) -> float:
    started = time.perf_counter()
    for _ in frames:
        between()
    return time.perf_counter() - started


if __name__ == "__main__":
    raise SystemExit(main())
