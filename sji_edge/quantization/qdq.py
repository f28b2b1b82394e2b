"""INT8 as an explicit Q/DQ graph: ONNX Runtime's quantizer, with our choices.

Weights are symmetric int8, one scale an output channel. Activations are symmetric int8 with one scale a tensor for
OpenVINO and TensorRT; ONNX Runtime's CPU kernels want them uint8, with int32 biases.
"""

import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from sji_edge.core.errors import GateError, UsageError
from sji_edge.core.registry import nearest
from sji_edge.quantization.bias import bias_shifts, input_means, with_shifted_biases
from sji_edge.quantization.equalise import channel_reach, equalise
from sji_edge.quantization.probe import BATCH
from sji_edge.runtime.graph import INPUT_NAME

QUANTISED_OPS = ("Conv", "Gemm", "MatMul", "Add")
METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


@dataclass(frozen=True)
class Scheme:
    """How integers stand for reals.

    Attributes:
        symmetric: int8 activations around 0 and float biases (OpenVINO, TensorRT); else uint8 activations and
            int32 biases (ONNX Runtime on a CPU).
        weight_bits: 8, or 7 for CPUs whose 8-bit multiply-add saturates: without VNNI, x86 adds two products of
            8 bits in 16, and full-range weights overflow it.
    """

    symmetric: bool
    weight_bits: int


class Quantizer:
    """Makes Q/DQ graphs from one float graph and one set of calibration crops.

    Args:
        model: a graph of ``export``.
        crops: calibration crops, uint8 ``(n, height, width, channels)``.
        scheme: how integers stand for reals.
        method: how ranges are taken from the crops: ``minmax``, ``percentile`` or ``entropy``.

    Raises:
        GateError: no crop.
        UsageError: no such method.
    """

    def __init__(
        self, model: onnx.ModelProto, crops: NDArray[np.uint8], scheme: Scheme, method: str = "minmax"
    ) -> None:
        if len(crops) == 0:
            raise GateError("the calibration set holds no crop", hint="make one with sji-edge calibrate")
        if method not in METHODS:
            raise UsageError(f"unknown range method {method!r}", hint=nearest(method, list(METHODS)))
        self._crops = crops
        self._scheme = scheme
        self._method = method
        self._folder = tempfile.TemporaryDirectory(prefix="sji-edge-quantize-")
        prepared = self._prepare(model)
        self._model = equalise(prepared, channel_reach(prepared, crops))
        self._shifts = bias_shifts(
            self._model, self._quantise(self._model, ()), input_means(self._model, crops)
        )

    @property
    def model(self) -> onnx.ModelProto:
        """The float graph that is quantised, its channels equalised."""
        return self._model

    def layers(self) -> list[str]:
        """Names of the nodes that hold weights, in the graph's order."""
        return [node.name for node in self._model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]

    def quantise(self, keep_float: Collection[str] = ()) -> onnx.ModelProto:
        """Return the Q/DQ graph, with the named nodes left in float and the others' biases corrected."""
        return self._quantise(with_shifted_biases(self._model, self._shifts, keep_float), keep_float)

    def close(self) -> None:
        """Remove the temporary files."""
        self._folder.cleanup()

    def _prepare(self, model: onnx.ModelProto) -> onnx.ModelProto:
        source, target = self._path("exported.onnx"), self._path("prepared.onnx")
        onnx.save(model, source)
        with _quiet():
            quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
        return onnx.load(target)

    def _quantise(self, model: onnx.ModelProto, keep_float: Collection[str]) -> onnx.ModelProto:
        source, target = self._path("float.onnx"), self._path("quantised.onnx")
        onnx.save(model, source)
        with _quiet():
            quantize_static(
                str(source),
                str(target),
                _Batches(self._crops),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QInt8 if self._scheme.symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=self._scheme.weight_bits == 7,
                op_types_to_quantize=list(QUANTISED_OPS),
                nodes_to_exclude=list(keep_float),
                calibrate_method=METHODS[self._method],
                extra_options=self._options(),
                # Ranges are taken once: correcting biases or leaving layers in float hardly moves them.
                calibration_cache_path=self._path("ranges.json"),
            )
        return onnx.load(target)

    def _options(self) -> dict[str, Any]:
        if not self._scheme.symmetric:
            return {"WeightSymmetric": True}
        return {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            # TensorRT's parser refuses int32 biases.
            "QuantizeBias": False,
            # A convolution's output stays float where it meets a residual addition: only the skip branch is
            # quantised, so that convolution, addition and activation fuse.
            "OpTypesToExcludeOutputQuantization": list(QUANTISED_OPS),
        }

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / name


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Feeds calibration crops to ONNX Runtime."""

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = (
            crops[start : start + BATCH] for start in range(0, len(crops), BATCH)
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT_NAME: batch}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's advice off the user's terminal; its errors are raised."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def layers_by_noise(noise: dict[str, float], shares: Sequence[float]) -> list[tuple[str, ...]]:
    """Group the noisiest layers: for each share, the fewest that make up that share of the squared noise.

    Args:
        noise: root mean square Δlogit of each layer quantised alone.
        shares: rising, in (0, 1).

    Returns:
        One tuple of layer names a share, noisiest first; equal groups appear once.
    """
    ranked = sorted(noise, key=lambda name: -noise[name])
    energy = np.cumsum([noise[name] ** 2 for name in ranked])
    groups = []
    for share in shares:
        count = int(np.searchsorted(energy, share * energy[-1])) + 1
        group = tuple(ranked[:count])
        if group not in groups:
            groups.append(group)
    return groups
