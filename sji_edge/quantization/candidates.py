"""The ladder of precisions: INT8, INT8 with its noisiest layers in float, FP16 or bf16, FP32."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from sji_edge.quantization.half import to_half
from sji_edge.quantization.qdq import Quantizer, Scheme, layers_by_noise
from sji_edge.quantization.sensitivity import layer_noise

NOISE_SHARES = (0.3, 0.5, 0.7, 0.85)
"""Shares of the squared noise that leave INT8, step by step, when the gate fails."""

HELD_OUT_EVERY = 4
"""Every fourth calibration crop is kept out of the ranges, to measure the layers' noise on."""

Step = Callable[[str], None]
Ladder = Generator["Candidate", bool, None]


@dataclass(frozen=True)
class Candidate:
    """A graph to try as an engine. ``facts`` go into the manifest."""

    label: str
    precision: str
    graph: Path
    facts: dict[str, Any] = field(default_factory=dict)


def candidates(
    model: Path,
    wanted: str,
    *,
    crops: NDArray[np.uint8],
    scheme: Scheme,
    method: str,
    bf16: bool,
    fp16: bool = False,
    folder: Path,
    step: Step,
) -> Ladder:
    """Yield graphs to try, told by ``send`` whether the last one passed its gate.

    Args:
        model: the exported FP32 graph.
        wanted: a precision, or ``auto`` for the whole ladder.
        crops: calibration crops, for ``int8`` and ``auto``.
        scheme: how integers stand for reals.
        method: how ranges are taken.
        bf16: whether the backend can compute in bf16 here.
        fp16: whether ``auto`` tries FP16: it gains nothing on a CPU, which only stores it.
        folder: where graphs are written.
        step: told what is being done.
    """
    if wanted in ("auto", "int8"):
        yield from _int8(model, crops, scheme, method, folder, step, ladder=wanted == "auto")
    if wanted == "fp16" or (wanted == "auto" and fp16):
        step("fp16: converting the graph")
        yield _half(model, folder)
    if wanted == "bf16" or (wanted == "auto" and bf16):
        yield Candidate("bf16", "bf16", model)
    if wanted in ("auto", "fp32"):
        yield Candidate("fp32", "fp32", model)


def _half(model: Path, folder: Path) -> Candidate:
    graph = folder / "fp16.onnx"
    onnx.save(to_half(onnx.load(model)), graph)
    return Candidate("fp16", "fp16", graph)


def _int8(
    model: Path,
    crops: NDArray[np.uint8],
    scheme: Scheme,
    method: str,
    folder: Path,
    step: Step,
    *,
    ladder: bool,
) -> Ladder:
    held_out = np.arange(len(crops)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    step("int8: equalising channels, taking ranges, correcting biases")
    quantizer = Quantizer(onnx.load(model), crops[~held_out], scheme, method)
    try:
        passed = yield _candidate(quantizer, (), folder, {})
        if passed or not ladder or not held_out.any():
            return
        noise = layer_noise(
            quantizer, crops[held_out], lambda done, total: step(f"int8: noise of layer {done} of {total}")
        )
        facts = {"layer_noise": {name: round(value, 5) for name, value in noise.items()}}
        for layers in layers_by_noise(noise, NOISE_SHARES):
            passed = yield _candidate(quantizer, layers, folder, facts)
            if passed:
                return
    finally:
        quantizer.close()


def _candidate(
    quantizer: Quantizer, float_layers: tuple[str, ...], folder: Path, facts: dict[str, Any]
) -> Candidate:
    graph = folder / f"int8-{len(float_layers)}.onnx"
    onnx.save(quantizer.quantise(float_layers), graph)
    total = len(quantizer.layers())
    label = f"int8, {len(float_layers)}/{total} float" if float_layers else "int8"
    return Candidate(label, "int8", graph, {**facts, "float_layers": list(float_layers), "layers": total})
