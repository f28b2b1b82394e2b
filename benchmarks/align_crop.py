"""Measures alignment and cropping of a frame on one core: the work of the loop before the engine runs.

    python benchmarks/align_crop.py [--boards DIR]

Frames are in memory; each one is aligned by its fiducials, all its joints are mapped, and cut at 84x84 into one buffer.
Frames alternate, so that none is still in the cache from the last round. Target: both together take less than 5 ms per
frame of 2448x2048 with 100 joints.
"""

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path
from time import perf_counter_ns

import cv2
import numpy as np

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import Image, crops_of_frame
from sji_edge.core.verdict import Thresholds
from sji_edge.data.synthetic.boards import write_boards
from sji_edge.inspection.faults import Fault
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.recipe.board import Recipe
from sji_edge.recipe.limits import Refinement

TARGET_MS = 5.0
FRAMES, JOINTS = 8, 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--boards", type=Path, help="recipe folder with frames; default: $SJI_DATA or synthetic"
    )
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument(
        "--refine", action="store_true", help="each joint refined against golden; part of align"
    )
    given = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="sji-boards-") as folder:
        recipe, frames = load(given.boards, Path(folder))
    if given.refine:
        refined = recipe.board.model_copy(update={"refine": Refinement()})
        recipe = dataclasses.replace(recipe, board=refined)
    channels = 1 if frames[0].ndim == 2 else 3
    spec = PreprocessSpec(height=84, width=84, channels=channels)
    layout = RecipeLayout(recipe, spec, Thresholds(lower=0.3, upper=0.7))
    taken = measure(layout, spec, frames, given.rounds)
    for name, values in (*zip(("align", "crop"), taken.T, strict=True), ("together", taken.sum(axis=1))):
        p50, p99 = np.percentile(values, [50, 99])
        print(f"{name:9} p50 {p50:6.3f} ms, p99 {p99:6.3f} ms")
    print(f"target: {TARGET_MS:g} ms together, on one core")


def load(boards: Path | None, folder: Path) -> tuple[Recipe, list[Image]]:
    """Read the boards given, the real ones of ``SJI_DATA``, or synthetic ones."""
    if boards is None and "SJI_DATA" in os.environ:
        boards = Path(os.environ["SJI_DATA"]) / "boards"
    if boards is None:
        boards = folder / "boards"
        write_boards(boards, seed=7, frames=FRAMES, joints=JOINTS, defect_rate=0.1, frame=(2448, 2048))
    recipe = Recipe.load(boards)
    paths = [path for path in sorted(boards.glob("*.png")) if path != recipe.golden_path]
    frames = [read_image(path) for path in paths[:FRAMES]]
    height, width = frames[0].shape[:2]
    colour = "grey" if frames[0].ndim == 2 else "colour"
    print(f"boards: {boards}, {len(frames)} frames {width}x{height} {colour}, {len(recipe.joints)} joints")
    return recipe, frames


def measure(layout: RecipeLayout, spec: PreprocessSpec, frames: list[Image], rounds: int) -> np.ndarray:
    """Milliseconds of alignment and of cropping, float64 ``(frames, 2)``; the first round warms up."""
    buffer = np.empty((len(layout.limits.lower), *spec.shape), np.uint8)
    taken = []
    for turn in range(rounds + 1):
        for pixels in frames:
            started = perf_counter_ns()
            placement = layout.place(pixels)
            placed = perf_counter_ns()
            if isinstance(placement, Fault):
                raise SystemExit(f"a frame cannot be aligned: {placement}")
            crops_of_frame(pixels, placement.maps, buffer)
            if turn:
                taken.append(((placed - started) / 1e6, (perf_counter_ns() - placed) / 1e6))
    return np.array(taken)


if __name__ == "__main__":
    main()
