"""The ladder of precisions: INT8, INT8 with its noisiest layers in float, INT8 beside FP16, 16-bit floats, FP32."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard
from sji_edge.quantization.fp16 import to_half
from sji_edge.quantization.int8.quantizer import METHODS, Quantizer, Scheme, layers_by_noise
from sji_edge.quantization.int8.range_methods import AUTO, score_methods
from sji_edge.quantization.sensitivity import layer_noise
from sji_edge.quantization.tensor_values import held_out

NOISE_SHARES = (0.15, 0.3, 0.5, 0.7, 0.85)
"""Shares of the squared noise that are moved to float, step by step, while the gate fails."""

SHOWN_TENSORS = 8
HALF_QUANTIZERS = 19

Step = Callable[[str], None]
Ladder = Generator["Candidate", bool, None]


@dataclass(frozen=True)
class Candidate:
    """A graph to try as an engine.

    ``facts`` describe this graph, ``measured`` is what was measured on the crops before it; both go into the manifest.
    ``note`` goes into the table. An ``optional`` one is left out where the backend cannot build it.
    """

    label: str
    precision: str
    graph: Path
    facts: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    optional: bool = False


def candidates(
    model: Path,
    wanted: str,
    *,
    crops: NDArray[np.uint8],
    card: ModelCard,
    scheme: Scheme,
    method: str,
    halves: Sequence[str],
    mixed: bool = False,
    folder: Path,
    step: Step,
) -> Ladder:
    """Yield graphs to try; ``send`` tells whether the last one passed its gate well enough to stop.

    Args:
        model: the exported FP32 graph.
        wanted: a precision, or ``auto`` for the whole ladder; ``int8`` has several steps.
        crops: calibration crops, for ``int8`` and ``auto``.
        card: the model's card, for its thresholds.
        scheme: how integers represent real values.
        method: how ranges are taken, or ``auto``.
        halves: 16-bit types that the backend computes in on this machine; others only store weights.
        mixed: also try the INT8 graph that passed with FP16 in place of its float32.
        folder: folder for the graphs.
        step: receives each step in words.
    """
    if wanted in ("auto", "int8"):
        passed = yield from _Int8(model, crops, card, scheme, method, folder, step).climb()
        if mixed and passed is not None:
            yield beside_half(passed, folder)
    if wanted == "fp16" or (wanted == "auto" and "fp16" in halves):
        graph = folder / "fp16.onnx"
        onnx.save(to_half(onnx.load(model)), graph)
        note = "" if "fp16" in halves else "FP16 only stores weights here: the CPU computes in float32"
        yield Candidate("fp16", "fp16", graph, note=note)
    if wanted == "bf16" or (wanted == "auto" and "bf16" in halves):
        yield Candidate("bf16", "bf16", model)
    if wanted in ("auto", "fp32"):
        yield Candidate("fp32", "fp32", model)


def beside_half(int8: Candidate, folder: Path) -> Candidate:
    """Return an INT8 candidate whose other layers compute in FP16."""
    half = to_half(onnx.load(int8.graph))
    for opset in half.opset_import:
        if not opset.domain:
            # The first version whose quantizing nodes take FP16.
            opset.version = max(opset.version, HALF_QUANTIZERS)
    graph = folder / f"{int8.graph.stem}-fp16.onnx"
    onnx.save(half, graph)
    return replace(int8, label=f"{int8.label}, rest fp16", graph=graph, optional=True)


class _Int8:
    """The INT8 steps of the ladder. Every fourth calibration crop is held out of the ranges, to judge them on."""

    def __init__(
        self,
        model: Path,
        crops: NDArray[np.uint8],
        card: ModelCard,
        scheme: Scheme,
        method: str,
        folder: Path,
        step: Step,
    ) -> None:
        self._folder, self._step = folder, step
        kept_out = held_out(len(crops))
        self._judged_on = crops[kept_out]
        step("int8: equalizing channels, computing ranges, correcting biases")
        first = next(iter(METHODS)) if method == AUTO else method
        self._quantizer = Quantizer(onnx.load(model), crops[~kept_out], scheme, first)
        self._measured: dict[str, Any] = {}
        if method == AUTO and len(self._judged_on):
            scores = score_methods(self._quantizer, self._judged_on, card, step)
            self._measured["range_methods"] = {name: score.as_facts() for name, score in scores.items()}
            self._quantizer.use(min(scores, key=scores.__getitem__))
        self._measured["ranges"] = self._quantizer.method

    def climb(self) -> Generator[Candidate, bool, Candidate | None]:
        """Yield INT8; while it does not pass, yield INT8 with more and more of its noisiest layers in float.

        Returns:
            The candidate that passed, if any.
        """
        if len(self._judged_on):
            self._step("int8: measuring what the ranges clip")
            clipped = sorted(self._quantizer.clipped(self._judged_on).items(), key=lambda item: -item[1])
            self._measured["clipped"] = {name: round(share, 6) for name, share in clipped[:SHOWN_TENSORS]}
        plain = self._candidate(())
        passed = yield plain
        if passed or not len(self._judged_on):
            return plain if passed else None
        noise = layer_noise(
            self._quantizer,
            self._judged_on,
            lambda done, total: self._step(f"int8: noise of layer {done} of {total}"),
        )
        self._measured["layer_noise"] = {name: round(value, 5) for name, value in noise.items()}
        for layers in layers_by_noise(noise, NOISE_SHARES):
            candidate = self._candidate(layers)
            passed = yield candidate
            if passed:
                return candidate
        return None

    def _candidate(self, float_layers: tuple[str, ...]) -> Candidate:
        graph = self._folder / f"int8-{len(float_layers)}.onnx"
        onnx.save(self._quantizer.quantize(float_layers), graph)
        total = len(self._quantizer.layers())
        label = f"int8, {len(float_layers)}/{total} float" if float_layers else "int8"
        facts = {"float_layers": list(float_layers), "layers": total}
        return Candidate(label, "int8", graph, facts, dict(self._measured))
