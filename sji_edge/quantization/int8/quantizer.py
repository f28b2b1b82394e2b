"""Makes INT8 graphs with explicit Q/DQ nodes.

Weights are symmetric int8 with one scale for each output channel. Activations have one scale for each tensor: symmetric
int8 for TensorRT; the same for OpenVINO, but uint8 where nothing is negative; uint8 with int32 biases for ONNX
Runtime's CPU kernels.
"""

import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization.shape_inference import quant_pre_process

from sji_edge.core.errors import GateError, UsageError
from sji_edge.core.registry import nearest
from sji_edge.quantization.int8.bias import bias_shifts, input_means, with_shifted_biases
from sji_edge.quantization.int8.equalize import channel_reach, equalize
from sji_edge.quantization.int8.qdq_nodes import Scheme, with_integers
from sji_edge.quantization.int8.ranges import METHODS, Range, clipped_shares, histograms, range_of
from sji_edge.quantization.int8.rounding import Rounder, input_covariances
from sji_edge.quantization.int8.tensors import WEIGHTED, last_layer, quantized_tensors
from sji_edge.runtime.guard_nodes import guard_nodes

__all__ = ["METHODS", "Quantizer", "Scheme", "layers_by_noise"]


class Quantizer:
    """Makes Q/DQ graphs from one float graph and one set of calibration crops.

    A guard always stays in float, and so does the layer that makes the logits: see ``tensors.last_layer``.

    Args:
        model: an exported graph.
        crops: calibration crops, uint8 ``(n, height, width, channels)``.
        scheme: how integers represent real values.
        method: how ranges are taken from the crops, a name of ``METHODS``.

    Raises:
        GateError: there are no crops.
        UsageError: an unknown method.
    """

    def __init__(
        self, model: onnx.ModelProto, crops: NDArray[np.uint8], scheme: Scheme, method: str = "minmax"
    ) -> None:
        if len(crops) == 0:
            raise GateError("the calibration set holds no crops", hint="make one with sji-edge calibrate")
        if method not in METHODS:
            raise UsageError(f"unknown range method {method!r}", hint=nearest(method, list(METHODS)))
        self._scheme = scheme
        self._method = method
        prepared = _prepared(model)
        self._model = equalize(prepared, channel_reach(prepared, crops))
        guard = frozenset(node.name for node in guard_nodes(self._model.graph))
        self._always_float = guard | last_layer(self._model)
        self._everywhere = quantized_tensors(self._model, self._always_float, both_sides=not scheme.symmetric)
        self._histograms = histograms(self._model, sorted(self._everywhere.shared), crops)
        self._rounder = Rounder(input_covariances(self._model, crops))
        self._shifts = bias_shifts(
            self._model, self._quantize(self._model, ()), input_means(self._model, crops)
        )

    @property
    def model(self) -> onnx.ModelProto:
        """The float graph that is quantized, with equalized channels."""
        return self._model

    @property
    def method(self) -> str:
        """How ranges are taken."""
        return self._method

    @property
    def ranges(self) -> dict[str, Range]:
        """Lowest and highest real value that each tensor's integers reach, by tensor."""
        positive = self._everywhere.positive if self._scheme.unsigned else frozenset()
        return {
            name: range_of(histogram, self._method, symmetric=self._scheme.symmetric and name not in positive)
            for name, histogram in self._histograms.items()
        }

    def use(self, method: str) -> None:
        """Use another range method from now on; nothing is measured again."""
        if method not in METHODS:
            raise UsageError(f"unknown range method {method!r}", hint=nearest(method, list(METHODS)))
        self._method = method

    def layers(self) -> list[str]:
        """Names of the nodes that can be quantized, in the graph's order."""
        return [
            node.name
            for node in self._model.graph.node
            if node.op_type in WEIGHTED and node.name not in self._always_float
        ]

    def quantize(self, keep_float: Collection[str] = ()) -> onnx.ModelProto:
        """Return the Q/DQ graph, with the named nodes left in float and the others' biases corrected."""
        return self._quantize(with_shifted_biases(self._model, self._shifts, keep_float), keep_float)

    def clipped(self, crops: NDArray[np.uint8]) -> dict[str, float]:
        """Return the share of each tensor's values outside its range, on crops outside the calibration."""
        return clipped_shares(self._model, self.ranges, crops)

    def close(self) -> None:
        """Drop what was measured; no graph can be made afterwards."""
        self._histograms.clear()
        self._shifts.clear()

    def _quantize(self, model: onnx.ModelProto, keep_float: Collection[str]) -> onnx.ModelProto:
        keep_float = self._always_float.union(keep_float)
        where = quantized_tensors(model, keep_float, both_sides=not self._scheme.symmetric)
        return with_integers(model, where, self.ranges, self._scheme, keep_float, self._rounder)


def _prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph simplified, and with a name for every node."""
    with tempfile.TemporaryDirectory(prefix="sji-edge-quantize-") as folder:
        source, target = Path(folder) / "exported.onnx", Path(folder) / "prepared.onnx"
        onnx.save(model, source)
        with _quiet():
            quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
        prepared = onnx.load(target)
    for node in prepared.graph.node:
        node.name = node.name or node.output[0]
    return prepared


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the optimizer's advice off the terminal; its errors are raised."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def layers_by_noise(noise: dict[str, float], shares: Sequence[float]) -> list[tuple[str, ...]]:
    """Group the noisiest layers: for each share, the fewest layers that make up that share of the squared noise.

    Args:
        noise: root mean square Δlogit of each layer quantized alone.
        shares: rising, in (0, 1).

    Returns:
        One tuple of layer names for each share, noisiest first; equal groups appear once.
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
