"""The parts that the loop's benchmarks share: an engine, boards held in memory, and a judge for them."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sji_edge.core.clock import Clock
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Engine, Frame
from sji_edge.data.synthetic.boards import write_boards
from sji_edge.inspection.judging.frame_job import Deadlines, Model
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle, open_engine
from sji_edge.workflows.artifacts import released_engine

FRAMES, JOINTS = 8, 100


@dataclass(frozen=True)
class Rig:
    """An opened engine, a recipe, and decoded frames that show it."""

    bundle: Bundle
    engine: Engine
    recipe: Recipe
    frames: list[Image]

    def judge(self, clock: Clock, run: str, deadlines: Deadlines | None = None) -> BoardJudge:
        """Make a judge of the frames, warmed up."""
        card, spec = self.bundle.card, self.bundle.preprocess
        model = Model(card.classes, card.good_index, spec, self.bundle.engine_sha256)
        layout = RecipeLayout(self.recipe, spec, self.bundle.thresholds)
        judge = BoardJudge(self.engine, model, layout, clock, run, deadlines=deadlines)
        judge.warm_up(self.frames[:1])
        return judge

    def crops(self, clock: Clock) -> Image:
        """Cut the first frame's joints as the loop does: a ready-made batch."""
        judge = self.judge(clock, "crops")
        work = judge.prepare(Frame(0, "", clock.monotonic_ns(), self.frames[0]), judge.new_buffer())
        return np.ascontiguousarray(work.crops)


class MemorySource:
    """Yields ``count`` decoded frames, over and over, as fast as they are taken."""

    def __init__(self, frames: list[Image], count: int, clock: Clock) -> None:
        self._frames, self._count, self._clock = frames, count, clock

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            pixels = self._frames[index % len(self._frames)]
            yield Frame(index, f"board{index:06d}", self._clock.monotonic_ns(), pixels)

    def close(self) -> None:
        """Nothing is held."""


class PacedSource:
    """Yields decoded frames ``period_s`` apart, each stamped when it is due."""

    def __init__(self, frames: list[Image], count: int, period_s: float, clock: Clock) -> None:
        self._frames, self._count, self._period_s, self._clock = frames, count, period_s, clock

    def __iter__(self) -> Iterator[Frame]:
        due_ns = self._clock.monotonic_ns()
        for index in range(self._count):
            due_ns += int(self._period_s * 1e9)
            wait_s = (due_ns - self._clock.monotonic_ns()) / 1e9
            if wait_s > 0:
                self._clock.sleep(wait_s)
            pixels = self._frames[index % len(self._frames)]
            yield Frame(index, f"board{index:06d}", self._clock.monotonic_ns(), pixels)

    def close(self) -> None:
        """Nothing is held."""


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that all benchmarks of the loop take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--engine", type=Path, help="bundle; default: the newest released one in engines/")
    parser.add_argument(
        "--boards", type=Path, help="recipe folder with frames; default: $SJI_DATA or synthetic"
    )
    parser.add_argument("--threads", type=int, default=2)
    return parser


def open_rig(given: argparse.Namespace) -> Rig:
    """Open the engine and read the boards: those given, the real ones of ``SJI_DATA``, or synthetic ones."""
    bundle = open_bundle(released_engine(given.engine, Path("engines")).folder)
    boards = given.boards
    if boards is None and "SJI_DATA" in os.environ:
        boards = Path(os.environ["SJI_DATA"]) / "boards"
    if boards is None:
        boards = Path(tempfile.mkdtemp(prefix="sji-boards-")) / "boards"
        write_boards(boards, seed=7, frames=FRAMES, joints=JOINTS, defect_rate=0.1)
    recipe = Recipe.load(boards)
    paths = [path for path in sorted(boards.glob("*.png")) if path != recipe.golden_path]
    frames = [read_image(path) for path in paths[:FRAMES]]
    width, height = recipe.board.frame
    print(f"boards: {boards}, {len(frames)} frames {width}x{height}, {len(recipe.joints)} joints")
    print(f"engine: {bundle.manifest.name}, {given.threads} threads")
    return Rig(bundle, open_engine(bundle, given.threads), recipe, frames)
