"""TensorRT engines on real frames: GPU time against the bare engine, end-to-end time, memory, and PyTorch beside them.

    python benchmarks/gpu_loop.py --recipe boards/NAME --runs runs engines/A engines/B …

For each engine one frame with all its joints is copied to the GPU, cut there and judged, over and over. Targets: GPU
time at most 1.25 times the bare engine's (CUDA graph on, events around the enqueue, as trtexec measures), end-to-end
p50 at most the frame's copy + 1.5 times the bare engine's, p99 at most 1.5 times p50, device memory constant. Exit code
4 if a target is missed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sji_edge.core.images.read import read_image
from sji_edge.core.preprocess import crops_to_image
from sji_edge.recipe.board import Recipe
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle, open_engine
from sji_edge.runtime.cuda.driver import ask_driver

BARE_ROUNDS = 200
WARM_UP = 50


@dataclass
class Times:
    """Milliseconds of one engine."""

    bare: float
    copy: float
    gpu: float
    p50: float
    p99: float
    memory_change: int

    def failures(self) -> list[str]:
        """The targets that were missed."""
        wanted = {
            f"GPU time {self.gpu / self.bare:.2f} x bare, limit 1.25": self.gpu <= 1.25 * self.bare,
            f"p50 {self.p50:.3f} ms, limit {self.copy + 1.5 * self.bare:.3f}": self.p50
            <= self.copy + 1.5 * self.bare,
            f"p99 {self.p99 / self.p50:.2f} x p50, limit 1.5": self.p99 <= 1.5 * self.p50,
            f"device memory changed by {self.memory_change} bytes": self.memory_change == 0,
        }
        return [text for text, holds in wanted.items() if not holds]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("engines", nargs="+", type=Path)
    parser.add_argument("--recipe", type=Path, required=True, help="recipe folder with board*.png beside it")
    parser.add_argument("--runs", type=Path, help="runs of the same models, for PyTorch's rows")
    parser.add_argument("--frames", type=int, default=10_000)
    given = parser.parse_args()
    driver = ask_driver()
    if driver.missing:
        print(f"skipped: {driver.missing}", file=sys.stderr)
        sys.exit(5)
    recipe = Recipe.load(given.recipe)
    frames = [read_image(path, colour=False) for path in sorted(given.recipe.glob("board[0-9]*.png"))]
    print(
        f"{driver.devices[0].name}, CUDA {driver.cuda}, {len(recipe.rois)} joints per frame, {given.frames} frames"
    )
    print(f"{'':44} {'bare':>8} {'copy':>8} {'GPU':>8} {'p50':>8} {'p99':>8} {'joints/s':>10}  (ms)")
    failed = False
    models: dict[str, Bundle] = {}
    for folder in given.engines:
        bundle = open_bundle(folder)
        models.setdefault(bundle.card.architecture, bundle)
        maps = crops_to_image(recipe.rois, bundle.preprocess)
        with closing(open_engine(bundle)) as engine:
            times = measure(engine, frames, maps, given.frames)
        rate = len(maps) / times.p50 * 1e3
        print(
            f"{folder.name:44} {times.bare:8.3f} {times.copy:8.3f} {times.gpu:8.3f} {times.p50:8.3f} "
            f"{times.p99:8.3f} {rate:10.0f}"
        )
        for failure in times.failures():
            failed = True
            print(f"    not met: {failure}")
    if given.runs is not None:
        for architecture, bundle in models.items():
            for label, rate in pytorch_rates(given.runs / architecture, bundle, len(recipe.rois)):
                print(f"{f'{architecture} PyTorch {label}':44} {'':44} {rate:10.0f}")
    sys.exit(4 if failed else 0)


def measure(engine, frames: list[np.ndarray], maps: np.ndarray, count: int) -> Times:
    """Judge frames one after the other, as the low-latency loop does."""
    engine.prepare([len(maps)])
    for frame in (frames * WARM_UP)[:WARM_UP]:
        engine.infer_frame(frame, maps)
    bare = statistics.median(engine.bare_ms(len(maps)) for _ in range(BARE_ROUNDS))
    copy = copy_ms(engine, frames[0])
    before = free_memory(engine)
    gpu, whole = [], []
    for index in range(count):
        started = time.perf_counter_ns()
        engine.infer_frame(frames[index % len(frames)], maps)
        whole.append((time.perf_counter_ns() - started) / 1e6)
        gpu.append(engine.gpu_ms)
    p50, p99 = np.percentile(whole, [50, 99])
    return Times(bare, copy, statistics.median(gpu), float(p50), float(p99), before - free_memory(engine))


def copy_ms(engine, frame: np.ndarray) -> float:
    """Milliseconds that the copy of one frame takes, from page-locked memory."""
    context = engine._context
    with context.current():
        stream, begun, done = context.stream(), context.event(), context.event()
        host, device = context.host_memory(frame.shape, np.uint8), context.device_memory(frame.nbytes)
        times = []
        for _ in range(BARE_ROUNDS):
            begun.record(stream)
            context.copy_in(device, host, stream)
            done.record(stream)
            stream.synchronize()
            times.append(done.time_since(begun))
        device.free()
    return statistics.median(times)


def free_memory(engine) -> int:
    with engine._context.current():
        free: int = engine._context.cuda.mem_get_info()[0]
    return free


def pytorch_rates(run: Path, bundle: Bundle, joints: int) -> Iterator[tuple[str, float]]:
    """Joints per second of PyTorch on this GPU: eager, compiled, and in FP16; crops copied in, logits out."""
    import torch

    from sji_edge.models.checkpoint import load_run

    if not (run / "card.json").is_file() or not torch.cuda.is_available():
        return
    model = load_run(run)[0].cuda().eval()
    crops = torch.from_numpy(
        np.resize(bundle.golden().crops, (joints, *bundle.preprocess.shape)).copy()
    ).pin_memory()

    def half(batch: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cuda", torch.float16):
            return model(batch)

    kinds: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "eager": model,
        "compiled": torch.compile(model),
        "FP16": half,
    }
    for label, judge in kinds.items():
        with torch.inference_mode():
            times = []
            for _ in range(WARM_UP + BARE_ROUNDS):
                started = time.perf_counter_ns()
                judge(crops.cuda(non_blocking=True)).float().cpu()
                times.append((time.perf_counter_ns() - started) / 1e9)
        yield label, joints / statistics.median(times[WARM_UP:])


if __name__ == "__main__":
    main()
