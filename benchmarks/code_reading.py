"""Measures how many generated codes are read, how many are read wrongly, and how long a reading takes.

    python benchmarks/code_reading.py --boards 1000

Each board shows one Data Matrix, QR or Code 128 symbol in an area of its frame: at any angle or nearly upright,
inverted or not, on a label or on the mask, blurred, at a gain of 0.45 to 1.5, in uneven light, with noise, and four in
ten under a reflection that whitens a part of it. The reader gets the area, no pattern and no kind. Times are
processor time of one thread. Exit 1 if a code was read wrongly.
"""

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import dataclass

import cv2
import numpy as np

from sji_edge.data.synthetic.codes import paint_symbol, symbol
from sji_edge.recipe.codes.area import CodeArea, SerialRule
from sji_edge.recipe.codes.reader import CodeReader


class OwnTime:
    """The processor time of this thread: what else runs on this machine does not count."""

    def monotonic_ns(self) -> int:  # noqa: D102
        return time.thread_time_ns()


KINDS = ("data-matrix", "qr", "code-128")
BORDER_PX = 60


@dataclass(frozen=True)
class Shot:
    """A board with one code."""

    image: np.ndarray
    area: CodeArea
    text: str
    kind: str
    glare: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boards", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget-ms", type=float, default=100.0)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(given.seed)
    shots, read, wrong = defaultdict(int), defaultdict(int), []
    times: dict[str, list[float]] = defaultdict(list)
    clock = OwnTime()
    for number in range(given.boards):
        shot = take(rng, KINDS[number % 3], number, given.budget_ms)
        reader = CodeReader(shot.area, SerialRule(), clock)
        begun_ns = clock.monotonic_ns()
        found = reader.read(shot.image, np.eye(2, 3))
        took_ms = (clock.monotonic_ns() - begun_ns) / 1e6
        for group in (shot.kind, "all", "with a reflection" if shot.glare else "without a reflection"):
            shots[group] += 1
            read[group] += found.text == shot.text
            times[group].append(took_ms)
        if found.text and found.text != shot.text:
            wrong.append((shot.text, found.text))
    for group, count in shots.items():
        p50, p99 = np.percentile(times[group], [50, 99])
        print(
            f"{group:21} {read[group]:4} of {count:4} read ({read[group] / count:.1%}), p50 {p50:.1f}, p99 {p99:.1f} ms"
        )
    print(f"{len(wrong)} read wrongly {wrong or ''}")
    sys.exit(bool(wrong))


def take(rng: np.random.Generator, kind: str, number: int, budget_ms: float) -> Shot:
    """Draw a board with one code."""
    digits = rng.integers(10**8)
    text = f"SN{digits:08d}" if number % 2 else f"{'ABCDEFGH'[digits % 8]}{digits:08d}-{digits % 97:02d}"
    modules = symbol(kind, text)
    module_px = rng.uniform(1.8, 4.0) if kind == "code-128" else rng.uniform(2.5, 6.0)
    angle = rng.uniform(0, 360) if rng.random() < 0.5 else rng.choice([0, 90, 180, 270]) + rng.normal(0, 1.0)
    turn = module_px * np.array(
        [
            [np.cos(np.radians(angle)), -np.sin(np.radians(angle))],
            [np.sin(np.radians(angle)), np.cos(np.radians(angle))],
        ]
    )
    width, height = np.abs(turn) @ modules.shape[::-1] + rng.uniform(8, 40, 2)
    frame = np.ceil([width, height]).astype(int) + 2 * BORDER_PX
    middle = (frame - 1) / 2 + rng.uniform(-3, 3, 2)
    shift = middle - turn @ ((np.array(modules.shape[::-1]) - 1) / 2)
    dark = rng.uniform(40, 90)
    light = min(250.0, dark + rng.uniform(0.25, 1.0) * 170)
    inverted = rng.random() < 0.35
    printed, bare = (light, dark) if inverted else (dark, light)
    board = bare if rng.random() < 0.5 else rng.uniform(30, 200)
    scene = np.full(frame[::-1], board, np.float32)
    paint_symbol(scene, modules, np.column_stack([turn, shift]), printed, bare)
    image, glare = expose(rng, scene, module_px)
    area = CodeArea(
        x=(frame[0] - 1) / 2, y=(frame[1] - 1) / 2, width=width, height=height, budget_ms=budget_ms
    )
    return Shot(image, area, text, kind, glare)


def expose(rng: np.random.Generator, scene: np.ndarray, module_px: float) -> tuple[np.ndarray, float]:
    """Light, blur and record a scene; return it with the reflection's radius as a share of half the frame."""
    height, width = scene.shape
    texture = cv2.GaussianBlur(rng.normal(0, 1, scene.shape).astype(np.float32), (0, 0), 6)
    scene = scene + texture / texture.std() * rng.uniform(0, 6)
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    scene *= 1 + rng.uniform(-0.3, 0.3) * across + rng.uniform(-0.3, 0.3) * down
    scene = cv2.GaussianBlur(scene, (0, 0), max(0.3, rng.uniform(0, 0.32) * module_px)) * rng.uniform(
        0.45, 1.5
    )
    glare = 0.0
    if rng.random() < 0.4:
        x, y = rng.uniform(-0.6, 0.6, 2)
        glare = rng.uniform(0.05, 0.25)
        spot = np.exp(-(((across - x) / glare) ** 2 + ((down - y) / glare / rng.uniform(0.6, 1.6)) ** 2))
        scene = scene + spot * rng.uniform(120, 350)
    scene = scene + rng.normal(0, rng.uniform(0.5, 5), scene.shape)
    return np.clip(np.round(scene), 0, 255).astype(np.uint8), glare


if __name__ == "__main__":
    main()
