"""Checks of one process each, on a GPU: ``steps.py NAME [ENGINE …] --recipe DIR``.

Prints facts as the last line, in JSON. Exit code 1: not as it must be; 77: cannot be checked here, and why.
"""

import argparse
import json
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from kernel import kernel_cubin, kernel_ptx, random_maps
from numpy.typing import NDArray
from outcome import Facts, require, rounded, same, skip
from product_plan import MAX_BATCH, NOWHERE, SIDE, open_product, products

from sji_edge.core.card import PreprocessSpec
from sji_edge.core.clock import SystemClock
from sji_edge.core.errors import EnvironmentMismatchError
from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import crops_of_frame, crops_to_image
from sji_edge.core.protocols import Frame
from sji_edge.core.verdict import Thresholds, Verdict
from sji_edge.inspection.judging.frame_job import Model
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import ImageLayout
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.bundle.bundle import open_bundle, open_engine
from sji_edge.runtime.cuda.device import CudaContext
from sji_edge.runtime.tensorrt.engine import TensorRtEngine

OPENINGS = 20
LATER_BOARDS = 5
BATCHES = (1, 7, MAX_BATCH, 3, 3, 7, MAX_BATCH, 1)


def host_side(_: argparse.Namespace) -> Facts:
    """The engine without TensorRT: recordings, frames, threads, two batches at once."""
    rng = np.random.default_rng(1)
    engine, _plan = open_product()
    with closing(engine):
        require(not engine.cut_failure, engine.cut_failure)
        engine.prepare([7, MAX_BATCH])

        def judge_all() -> None:
            for size in BATCHES:
                crops = _crops(rng, size)
                same(engine.infer(crops).logits, products(crops), f"a batch of {size}")

        judge_all()
        other = threading.Thread(target=judge_all)
        other.start()
        other.join()
        both = [_crops(rng, 7), _crops(rng, 7)]
        tickets = [engine.submit(crops) for crops in both]
        for ticket, crops in zip(tickets, both, strict=True):
            same(engine.collect(ticket).logits, products(crops), "two batches at once")
        frame = rng.integers(0, 256, (200, 300), dtype=np.uint8)
        maps = random_maps(rng, 9, frame.shape, PreprocessSpec(height=SIDE, width=SIDE, channels=1))
        for _again in range(2 * engine.sets + 1):
            cut = engine.cut_frame(frame, maps)
            same(engine.infer_frame(frame, maps).logits, products(cut), "a frame")
        return {"graphs": engine.graph_failure or "recorded", **rounded(engine.gpu_times)}


def illegal_access(_: argparse.Namespace) -> Facts:
    """A kernel that reads nobody's memory: the board and every later one are ERROR, and the run's exit code is 5."""
    engine, plan = open_product()
    spec = PreprocessSpec(height=SIDE, width=SIDE, channels=1)
    model = Model(("good", "defective"), 0, spec, "0" * 64)
    judge = BoardJudge(
        engine, model, ImageLayout(spec, Thresholds(lower=0.3, upper=0.7)), SystemClock(), "check"
    )
    pixels = np.add.outer(np.arange(SIDE), np.arange(SIDE)) % 7 * 30
    judge.warm_up(alone=True)
    engine._all[0].graphs.clear()
    engine._all[1].graphs.clear()
    plan.place = NOWHERE
    causes = []
    for number in range(LATER_BOARDS):
        frame = Frame(number, f"{number}", SystemClock().monotonic_ns(), (pixels + number).astype(np.uint8))
        judgement = judge.judge(frame)
        require(judgement.record.verdict is Verdict.ERROR, f"board {number} is {judgement.record.verdict}")
        if isinstance(judgement.failure, EnvironmentMismatchError):
            causes.append(f"{judgement.failure.exit_code}: {judgement.failure.message}")
    require(len(causes) == LATER_BOARDS, f"the engine failed for {len(causes)} of {LATER_BOARDS} boards")
    require({cause[0] for cause in causes} == {"5"}, f"exit codes of {causes}")
    engine.close()
    return {"causes": sorted(set(causes))}


def broken_capture(_: argparse.Namespace) -> Facts:
    """A plan that allocates while it is recorded: the answers stay right, and the engine says why it is slower."""
    rng = np.random.default_rng(2)
    engine, plan = open_product()
    with closing(engine):
        plan.allocates = True
        for size in BATCHES:
            crops = _crops(rng, size)
            same(engine.infer(crops).logits, products(crops), f"a batch of {size} after a broken capture")
        require(engine.graph_failure, "the capture was not noticed")
        return {"notes": list(engine.notes)}


def engines(given: argparse.Namespace) -> Facts:
    """Each real engine: recorded against plain, bit by bit, and a frame against its crops."""
    facts = {}
    for folder in given.engines:
        bundle, recipe = open_bundle(folder), Recipe.load(given.recipe)
        with closing(open_engine(bundle)) as opened:
            engine = _tensorrt(opened, folder)
            maps = crops_to_image(recipe.rois, bundle.preprocess)
            [path, *_] = sorted(given.recipe.glob("board[0-9]*.png"))
            frame = read_image(path, colour=False)
            crops = np.empty((len(maps), *bundle.preprocess.shape), np.uint8)
            crops_of_frame(frame, maps, crops)
            plain = engine.infer(crops)
            for run in range(2 * engine.sets + 1):
                again = engine.infer(crops)
                same(again.logits, plain.logits, f"{folder.name}: run {run} of a recorded batch")
            cut = engine.cut_frame(frame, maps)
            off = int(np.abs(cut.astype(int) - crops).max())
            require(off <= 1, f"{folder.name}: the GPU's crops differ by {off} grey levels")
            same(engine.infer_frame(frame, maps).logits, engine.infer(cut).logits, f"{folder.name}: a frame")
            require(not engine.graph_failure, f"{folder.name}: {engine.graph_failure}")
            facts[folder.name] = {"joints": len(maps), "grey_levels": off, **rounded(engine.gpu_times)}
    return facts


def pytorch(given: argparse.Namespace) -> Facts:
    """PyTorch before, beside and after an engine."""
    try:
        import torch
    except ImportError:
        skip("PyTorch is not installed")
    if not torch.cuda.is_available():
        skip("this PyTorch has no CUDA")
    before = torch.arange(8.0, device="cuda").sum().item()
    bundle = open_bundle(given.engines[0])
    with closing(open_engine(bundle)) as engine:
        engine.infer(np.ascontiguousarray(bundle.golden().crops[:4]))
        require(torch.arange(8.0, device="cuda").sum().item() == before == 28.0, "PyTorch beside an engine")
    require(torch.ones(3, device="cuda").sum().item() == 3.0, "PyTorch after an engine")
    return {"torch": torch.__version__}


def open_close(given: argparse.Namespace) -> Facts:
    """Opening and closing leaves the device's memory as it was."""
    bundle, held, free = open_bundle(given.engines[0]), CudaContext(), []
    for _ in range(OPENINGS):
        with closing(open_engine(bundle)) as engine:
            engine.prepare([1, min(4, bundle.manifest.max_batch)])
        with held.current():
            free.append(held.cuda.mem_get_info()[0])
    held.close()
    # The first openings may load what stays, such as kernels.
    require(free[-1] >= free[2], f"free memory fell from {free[2]} to {free[-1]} bytes")
    return {"free_bytes": [free[0], free[2], free[-1]], "openings": OPENINGS}


def verdicts(given: argparse.Namespace) -> Facts:
    """Compare the joints' verdicts of runs, the first of which is the reference: ``RECORDS ENGINE-RECORDS …``."""
    reference, *others = [_joints(folder) for folder in given.engines]
    require(reference, f"there are no joints in {given.engines[0]}")
    facts = {}
    for folder, found in zip(given.engines[1:], others, strict=True):
        require(found.keys() == reference.keys(), f"{folder.name} has other joints")
        flips = [key for key in found if found[key] != reference[key]]
        escapes = [key for key in flips if found[key] == "PASS"]
        require(not escapes, f"{folder.name} passes {escapes[:5]}")
        require(
            len(flips) <= 0.01 * len(found), f"{folder.name}: {len(flips)} of {len(found)} verdicts differ"
        )
        facts[folder.name] = {"joints": len(found), "flips": len(flips)}
    return facts


def _joints(folder: Path) -> dict[tuple[str, str], str]:
    rows = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    return {(row["frame"], row["refdes"]): row["verdict"] for row in rows if row["type"] == "joint"}


def _crops(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (size, SIDE, SIDE, 1), dtype=np.uint8)


def _tensorrt(engine: Any, folder: Path) -> TensorRtEngine:
    require(isinstance(engine, TensorRtEngine), f"{folder} is no TensorRT engine")
    found: TensorRtEngine = engine
    return found


STEPS: dict[str, Callable[[argparse.Namespace], Facts]] = {
    "kernel-cubin": kernel_cubin,
    "kernel-ptx": kernel_ptx,
    "host-side": host_side,
    "illegal-access": illegal_access,
    "broken-capture": broken_capture,
    "engines": engines,
    "pytorch": pytorch,
    "open-close": open_close,
    "verdicts": verdicts,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=STEPS)
    parser.add_argument("engines", nargs="*", type=Path)
    parser.add_argument("--recipe", type=Path)
    given = parser.parse_args()
    print(json.dumps(STEPS[given.name](given)))


if __name__ == "__main__":
    main()
