"""Compares our OpenVINO engine with OpenVINO's own ``benchmark_app``: the same file, threads, batch and precision.

Both run in alternation, A B then B A, each for some seconds; a round's ratio compares the medians of its two halves.
Ours counts everything that a caller waits for: the checks, the copy of the crops, the copy of the logits.
``benchmark_app`` fills its input once and times only the inference.

    python benchmarks/against_benchmark_app.py engines/NAME --threads 2 --batches 1,64

Exit code 1 when ours is slower by more than 5 % (median of the rounds).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from sji_edge.core.protocols import Engine
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle, open_engine
from sji_edge.runtime.openvino.backend import FLOAT_TYPE

ALLOWED = 1.05
SETTLE_S = 0.2
WARM_CALLS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", type=Path, help="an OpenVINO bundle, released or not")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", default="1,64")
    parser.add_argument("--seconds", type=int, default=4, help="of each half of a round")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    bundle = open_bundle(options.engine, require_released=False)
    if bundle.manifest.backend != "openvino":
        parser.error(f"{options.engine} is for {bundle.manifest.backend}; it must be for openvino")
    slow = False
    for batch in (int(word) for word in options.batches.split(",")):
        ratios, ours, theirs = measure(bundle, batch, options)
        middle = statistics.median(ratios)
        slow |= middle > ALLOWED
        print(
            f"{bundle.manifest.name} batch {batch}, {options.threads} threads: ours {statistics.median(ours):.3f} ms, "
            f"benchmark_app {statistics.median(theirs):.3f} ms; ours / theirs {middle:.3f} "
            f"(rounds {min(ratios):.3f} to {max(ratios):.3f})"
        )
    return int(slow)


def measure(
    bundle: Bundle, batch: int, options: argparse.Namespace
) -> tuple[list[float], list[float], list[float]]:
    """Return each round's ratio, and the medians in milliseconds of ours and theirs."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(options.rounds):
        halves = [
            lambda: ours.append(our_median_ms(bundle, batch, options)),
            lambda: theirs.append(their_median_ms(bundle, batch, options)),
        ]
        for half in halves if number % 2 == 0 else reversed(halves):
            time.sleep(SETTLE_S)
            half()
    return [one / other for one, other in zip(ours, theirs, strict=True)], ours, theirs


def our_median_ms(bundle: Bundle, batch: int, options: argparse.Namespace) -> float:
    engine: Engine = open_engine(bundle, options.threads)
    try:
        engine.prepare([batch])
        golden = bundle.golden().crops
        crops = np.ascontiguousarray(golden[np.arange(batch) % len(golden)])
        for _ in range(WARM_CALLS):
            engine.infer(crops)
        durations = []
        end = time.perf_counter_ns() + options.seconds * 10**9
        while time.perf_counter_ns() < end:
            start = time.perf_counter_ns()
            engine.infer(crops)
            durations.append(time.perf_counter_ns() - start)
    finally:
        engine.close()
    return statistics.median(durations) / 1e6


def their_median_ms(bundle: Bundle, batch: int, options: argparse.Namespace) -> float:
    program = Path(sys.executable).with_name("benchmark_app")
    shape = ",".join(map(str, (batch, *bundle.preprocess.shape)))
    with tempfile.TemporaryDirectory() as folder:
        # With a hint set, the program accepts a number of threads only from a file.
        settings = Path(folder) / "threads.config"
        settings.write_text(json.dumps({"CPU": {"INFERENCE_NUM_THREADS": str(options.threads)}}))
        command = [
            str(program),
            "-m",
            str(bundle.engine_path),
            "-d",
            "CPU",
            "-hint",
            "latency",
            "-api",
            "sync",
        ]
        command += ["-shape", f"crops[{shape}]", "-load_config", str(settings), "-t", str(options.seconds)]
        command += ["-infer_precision", FLOAT_TYPE[bundle.manifest.precision]]
        command += ["-report_type", "no_counters", "-json_stats", "-report_folder", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"benchmark_app failed: {(done.stdout + done.stderr).strip()[-400:]}")
        report = json.loads(next(Path(folder).glob("*.json")).read_text())
    return float(report["execution_results"]["latency (ms)"])


if __name__ == "__main__":
    sys.exit(main())
