"""What a guard costs: an engine's graph with its guard and without it, in alternating runs; and a board's places.

    python benchmarks/guard_cost.py engines/NAME [--batch 64] [--joints 1000]

Both graphs run on the engine's own backend (OpenVINO or ONNX Runtime), the first with the outputs novelty and features.
The comparison of a frame's joints with their places on enrolled boards is timed by itself, on one thread.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx

from sji_edge.core.features import CELL_FEATURES
from sji_edge.inspection.judging.places import learn_places
from sji_edge.quantization.guard import split_guard
from sji_edge.runtime import BACKENDS
from sji_edge.runtime.bundle.bundle import open_bundle

CELLS = 36
BOARDS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", type=Path, help="engine folder with a guard, of a CPU backend")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument(
        "--joints", type=int, default=1000, help="joints of a board, for the comparison by place"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare_graphs(given, Path(folder))
    compare_places(given.joints)


def compare_graphs(given: argparse.Namespace, folder: Path) -> None:
    bundle = open_bundle(given.engine)
    plain, guard = split_guard(onnx.load(bundle.engine_path))
    if guard is None:
        raise SystemExit(f"{given.engine} has no guard")
    onnx.save(plain, folder / "plain.onnx")
    backend = BACKENDS.get(bundle.manifest.backend)()
    engines = {
        name: backend.open(
            path, precision=bundle.manifest.precision, max_batch=given.batch, threads=given.threads
        )
        for name, path in (("with", bundle.engine_path), ("without", folder / "plain.onnx"))
    }
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (given.batch, *engines["with"].spec.crop_shape), dtype=np.uint8)
    for engine in engines.values():
        engine.prepare([given.batch])
        for _ in range(5):
            engine.infer(crops)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(given.rounds):
        # A B, then B A: any drift affects both sides.
        for name in sorted(engines, reverse=bool(number % 2)):
            begun = time.perf_counter()
            engines[name].infer(crops)
            seconds[name].append(time.perf_counter() - begun)
    ratios = np.array(seconds["with"]) / np.array(seconds["without"])
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    print(
        f"batch {given.batch}: {1e3 * np.median(seconds['with']):.2f} ms with the guard, "
        f"{1e3 * np.median(seconds['without']):.2f} ms without; ratio {middle:.3f} ({low:.3f} to {high:.3f})"
    )


def compare_places(joints: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(BOARDS, joints, CELL_FEATURES * CELLS)).astype(np.float32)
    begun = time.perf_counter()
    places = learn_places(features, [f"package{number % 20}" for number in range(joints)])
    learned = time.perf_counter() - begun
    inside, times = np.ones(joints, np.bool_), []
    for number in range(100):
        begun = time.perf_counter()
        places.deviations(features[number % BOARDS], inside)
        times.append(time.perf_counter() - begun)
    size = (places.mean.nbytes + places.precision.nbytes) / 1e6
    print(
        f"{joints} joints: {1e3 * float(np.median(times)):.2f} ms a frame, {size:.1f} MB; "
        f"{learned:.1f} s to learn {BOARDS} boards from their features"
    )


if __name__ == "__main__":
    main()
