"""Compares INT8 on OpenVINO with PyTorch FP32 and with OpenVINO at f32, in one process, in alternating blocks.

    python benchmarks/int8_speed.py runs/efficientnet_lite0-alpha-js runs/resnet18-ce --threads 2

Each run must be exported. The INT8 graph is the plain one, every layer quantized, made here from the run's golden
crops: only the speed of the graph is measured, whether or not it would pass a gate. Before the measurement, PyTorch and
the f32 engine must agree, and the INT8 engine's answers must be close to theirs.

Exit code 1 if a target is missed: at least 4 times as fast as PyTorch at batch 64, 6 times at batch 1, and
2 times as fast as OpenVINO at f32 at both.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import onnx

from sji_edge.benchmark.alternate import BlockSettings, Predict, alternate, ratio
from sji_edge.benchmark.report import repeated
from sji_edge.core.clock import SystemClock
from sji_edge.models.timed import torch_predictor
from sji_edge.quantization.int8.qdq_nodes import scheme_for
from sji_edge.quantization.int8.quantizer import Quantizer
from sji_edge.runtime.bundle.golden import Golden, read_golden
from sji_edge.runtime.host_cpu import cpu_facts, saturates_int8
from sji_edge.runtime.onnxruntime import card_in_graph
from sji_edge.runtime.openvino.backend import OpenVinoBackend

AGAINST_TORCH = {1: 6.0, 64: 4.0}
AGAINST_F32 = 2.0
CALIBRATION_CROPS = 128
SAME, ALIKE = 1e-3, 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="exported runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="of timed calls, each point")
    options = parser.parse_args()
    print(f"{cpu_facts()['cpu']}, {cpu_facts()['isa']}; {options.threads} threads")
    missed = [line for run in options.runs for line in measure(run, options.threads, options.seconds)]
    for line in missed:
        print(f"missed: {line}")
    return int(bool(missed))


def measure(run: Path, threads: int, seconds: float) -> list[str]:
    """Time the three predictors of one run; return the targets that were missed."""
    card = card_in_graph(run / "model.onnx")
    golden = read_golden(run / "golden.npz", card)
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        graphs = {"f32": run / "model.onnx", "int8": _int8(run, golden, Path(folder))}
        predictors: dict[str, Predict] = {"torch": stack.enter_context(torch_predictor(run, threads))}
        for name, graph in graphs.items():
            precision = "int8" if name == "int8" else "fp32"
            engine = OpenVinoBackend().open(graph, precision=precision, max_batch=64, threads=threads)
            stack.enter_context(closing(engine))
            engine.prepare(AGAINST_TORCH)
            predictors[name] = engine.infer
        _check(predictors, golden)
        for batch, wanted in AGAINST_TORCH.items():
            crops = repeated(golden.crops, batch)
            timings = dict(
                zip(
                    predictors,
                    alternate(
                        [(predict, crops) for predict in predictors.values()],
                        BlockSettings(seconds=seconds),
                        SystemClock(),
                    ),
                    strict=True,
                )
            )
            for other, target in (("torch", wanted), ("f32", AGAINST_F32)):
                overall, low, high = ratio(timings[other], timings["int8"])
                medians = [np.median(timings[name].durations_ns) / 1e6 for name in ("int8", other)]
                line = (
                    f"{card.name} batch {batch}: INT8 {medians[0]:.2f} ms, {other} {medians[1]:.2f} ms: "
                    f"{overall:.2f} times as fast (rounds {low:.2f} to {high:.2f}), target {target:g}"
                )
                print(line, flush=True)
                if overall < target:
                    missed.append(line)
    return missed


def _int8(run: Path, golden: Golden, folder: Path) -> Path:
    scheme = scheme_for("openvino", 7 if saturates_int8() else 8)
    quantizer = Quantizer(onnx.load(run / "model.onnx"), golden.crops[:CALIBRATION_CROPS], scheme)
    onnx.save(quantizer.quantize(), folder / "int8.onnx")
    return folder / "int8.onnx"


def _check(predictors: dict[str, Predict], golden: Golden) -> None:
    wanted = golden.logits[:64]
    limits = {"torch": SAME, "f32": SAME, "int8": ALIKE}
    for name, predict in predictors.items():
        gap = float(np.abs(np.asarray(predict(golden.crops[:64])) - wanted).max())
        if gap > limits[name] * max(1.0, float(np.abs(wanted).max())):
            raise SystemExit(f"{name} differs from the golden logits by {gap:.3g}, so nothing was timed")


if __name__ == "__main__":
    sys.exit(main())
