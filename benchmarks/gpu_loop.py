"""TensorRT engines on real frames: GPU time against the bare engine, end-to-end time, memory, and PyTorch beside them.

    python benchmarks/gpu_loop.py --recipe boards/NAME --runs runs engines/A engines/B …

For each engine one frame with all its joints is copied to the GPU, cut there and judged, over and over. Targets: GPU
time without the frame's copy at most 1.25 times the bare engine's (CUDA graph on, events around the enqueue, as trtexec
measures), end-to-end p50 at most the frame's two copies (into page-locked memory, and to the GPU) + 1.5 times the bare
engine's, p99 at most 1.5 times p50, device memory constant. Exit code 4 if a target is missed.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
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
    """Median milliseconds of one engine, but for ``p99``; ``memory_change`` in bytes.

    ``host_copy`` is a frame's copy into page-locked memory, ``copy`` the one to the GPU, ``cut`` and ``work`` the GPU's
    time from there on: for the cut alone, and for everything.
    """

    bare: float
    host_copy: float
    copy: float
    cut: float
    work: float
    p50: float
    p99: float
    memory_change: int

    def failures(self) -> list[str]:
        """The targets that were missed."""
        allowed = self.host_copy + self.copy + 1.5 * self.bare
        wanted = {
            f"GPU time without the copy {self.work / self.bare:.2f} x bare, limit 1.25": self.work
            <= 1.25 * self.bare,
            f"p50 {self.p50:.3f} ms, limit {allowed:.3f}": self.p50 <= allowed,
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
    parser.add_argument("--no-time-limits", action="store_true", help="exit code 4 for device memory only")
    parser.add_argument("--json", type=Path, help="file for the same figures")
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
    columns = ("bare", "host copy", "copy", "cut", "GPU", "p50", "p99", "joints/s")
    print(f"{'':36} {' '.join(f'{name:>9}' for name in columns)}  (ms)")
    failed = False
    report: list[dict[str, object]] = []
    models: dict[str, Bundle] = {}
    for folder in given.engines:
        bundle = open_bundle(folder)
        models.setdefault(bundle.card.architecture, bundle)
        maps = crops_to_image(recipe.rois, bundle.preprocess)
        with closing(open_engine(bundle)) as engine:
            times = measure(engine, frames, maps, given.frames)
        rate = len(maps) / times.p50 * 1e3
        found = (times.bare, times.host_copy, times.copy, times.cut, times.work, times.p50, times.p99)
        print(f"{folder.name:36} {' '.join(f'{ms:9.3f}' for ms in found)} {rate:9.0f}")
        report.append(
            {"engine": folder.name, **asdict(times), "joints_per_s": rate, "not_met": times.failures()}
        )
        for failure in times.failures():
            failed |= not given.no_time_limits or times.memory_change != 0
            print(f"    not met: {failure}")
    if given.runs is not None:
        for architecture, bundle in models.items():
            for label, rate in pytorch_rates(given.runs / architecture, bundle, len(recipe.rois)):
                print(f"{f'{architecture} PyTorch {label}':36} {'':69} {rate:9.0f}")
                report.append({"engine": f"{architecture} PyTorch {label}", "joints_per_s": rate})
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(4 if failed else 0)


def measure(engine, frames: list[np.ndarray], maps: np.ndarray, count: int) -> Times:
    """Judge frames one after the other, as the low-latency loop does."""
    engine.prepare([len(maps)])
    for frame in (frames * WARM_UP)[:WARM_UP]:
        engine.infer_frame(frame, maps)
    bare = statistics.median(engine.bare_ms(len(maps)) for _ in range(BARE_ROUNDS))
    host_copy = host_copy_ms(engine, frames[0])
    before = free_memory(engine)
    gpu, whole = [], []
    for index in range(count):
        started = time.perf_counter_ns()
        engine.infer_frame(frames[index % len(frames)], maps)
        whole.append((time.perf_counter_ns() - started) / 1e6)
        gpu.append(engine.gpu_times)
    p50, p99 = np.percentile(whole, [50, 99])
    return Times(
        bare=bare,
        host_copy=host_copy,
        copy=statistics.median(one.copy_ms for one in gpu),
        cut=statistics.median(one.cut_ms for one in gpu),
        work=statistics.median(one.work_ms for one in gpu),
        p50=float(p50),
        p99=float(p99),
        memory_change=before - free_memory(engine),
    )


def host_copy_ms(engine, frame: np.ndarray) -> float:
    """Milliseconds that the copy of one frame into page-locked memory takes."""
    context = engine._context
    with context.current():
        host, times = context.host_memory(frame.shape, np.uint8), []
        for _ in range(BARE_ROUNDS):
            started = time.perf_counter_ns()
            host[...] = frame
            times.append((time.perf_counter_ns() - started) / 1e6)
        del host
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
