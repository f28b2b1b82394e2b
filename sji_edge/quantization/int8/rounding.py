"""Rounds weights so that their errors cancel on the inputs that a layer sees.

Weights are rounded one input after the other. The weights that are still to come compensate for the error of each, as
far as their inputs vary together (Frantar et al. 2022, arXiv 2210.17323). The bias correction removes the mean of the
error, so covariances are used and not second moments.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sji_edge.quantization.tensor_values import tensors_on

MAX_INPUTS = 1536
"""Layers with more inputs per output are rounded to the nearest integer; their many errors cancel anyway."""

PLACES_PER_CROP = 12
DAMPING = 0.01
BLOCK = 64
"""Number of inputs rounded before the later weights are adjusted together; depthwise kernels have fewer."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Window:
    """How a layer's weights are applied to its input: the kernel's size, pads and strides."""

    kernel: tuple[int, int]
    pads: tuple[int, int, int, int]
    strides: tuple[int, int]
    depthwise: bool


def input_covariances(model: onnx.ModelProto, crops: NDArray[np.uint8], seed: int = 0) -> dict[str, Array]:
    """Return the covariance of the inputs of each weight tensor, at places drawn at random.

    Args:
        model: the float graph.
        crops: uint8 ``(n, height, width, channels)``.
        seed: seed for drawing the places.

    Returns:
        By weight name, float64 ``(inputs, inputs)``, or ``(channels, inputs, inputs)`` for depthwise kernels; inputs
        are in the order of a flattened kernel. Other kinds of layers are left out.
    """
    layers = {node.input[1]: (node.input[0], window) for node, window in _layers(model)}
    rng = np.random.default_rng(seed)
    sums: dict[str, tuple[int, Array, Array]] = {}
    # Measured from the first batch's mean, so that a variance is not the small difference of two large sums.
    origins: dict[str, NDArray[np.float32]] = {}
    for values in tensors_on(model, sorted({source for source, _ in layers.values()}), crops):
        for name, (source, window) in layers.items():
            seen = _seen(values[source], window, rng)
            seen = seen - origins.setdefault(name, seen.mean(axis=-2, keepdims=True))
            count, total, squares = sums.get(name, (0, np.float64(0.0), np.float64(0.0)))
            products = np.swapaxes(seen, -1, -2) @ seen
            sums[name] = (
                count + seen.shape[-2],
                total + seen.sum(axis=-2, dtype=np.float64),
                squares + products,
            )
    return {name: _covariance(*parts) for name, parts in sums.items()}


class Rounder:
    """Rounds weights, each tensor once for each set of scales; changing biases or ranges does not change them.

    Args:
        covariances: from ``input_covariances``; weights without one are rounded to the nearest integer.
    """

    def __init__(self, covariances: Mapping[str, Array]) -> None:
        self._covariances = covariances
        self._done: dict[tuple[str, int, bytes, bytes], NDArray[np.int8]] = {}

    def integers(
        self, name: str, weights: NDArray[np.float32], scale: NDArray[np.float32], levels: int, axis: int
    ) -> NDArray[np.int8]:
        """Return a weight tensor's integers.

        Args:
            name: the tensor's name.
            weights: float32.
            scale: scale of each output, ``(outputs,)``.
            levels: largest magnitude of an integer.
            axis: the weights' axis that counts outputs.
        """
        key = (name, levels, scale.tobytes(), weights.tobytes())
        if key not in self._done:
            self._done[key] = self._round(name, weights, scale, levels, axis)
        return self._done[key]

    def _round(
        self, name: str, weights: NDArray[np.float32], scale: NDArray[np.float32], levels: int, axis: int
    ) -> NDArray[np.int8]:
        if axis == 0 and name in self._covariances:
            return rounded(weights, scale, levels, self._covariances[name])
        shape = [-1 if place == axis else 1 for place in range(weights.ndim)]
        nearest = np.round(weights / scale.reshape(shape))
        return np.clip(nearest, -levels, levels).astype(np.int8)


def rounded(
    weights: NDArray[np.float32], scale: NDArray[np.float32], levels: int, covariance: Array
) -> NDArray[np.int8]:
    """Return the integers of weights whose first axis counts outputs; later weights compensate for errors.

    Args:
        weights: float32 ``(outputs, …)``.
        scale: scale of each output, ``(outputs,)``.
        levels: largest magnitude of an integer.
        covariance: from ``input_covariances``, for these weights.
    """
    left = weights.reshape(len(weights), -1).astype(np.float64)
    step = scale.astype(np.float64)
    # Upper factor of the inverse: row i says how much each later weight compensates for weight i.
    factor = np.swapaxes(np.linalg.cholesky(np.linalg.inv(_damped(covariance))), -1, -2)
    integers = np.empty(left.shape, np.int8)
    for start in range(0, left.shape[1], BLOCK):
        stop = min(start + BLOCK, left.shape[1])
        errors = np.empty((len(left), stop - start))
        for place in range(start, stop):
            integers[:, place] = np.clip(np.round(left[:, place] / step), -levels, levels)
            error = (left[:, place] - integers[:, place] * step) / factor[..., place, place]
            left[:, place:stop] -= error[:, None] * factor[..., place, place:stop]
            errors[:, place - start] = error
        if stop < left.shape[1]:
            left[:, stop:] -= errors @ factor[start:stop, stop:]
    return integers.reshape(weights.shape)


def _damped(covariance: Array) -> Array:
    size = covariance.shape[-1]
    mean = np.trace(covariance, axis1=-2, axis2=-1) / size
    damped: Array = covariance + (DAMPING * mean + 1e-12)[..., None, None] * np.eye(size)
    return damped


def _covariance(count: int, total: Array, squares: Array) -> Array:
    mean = total / count
    found: Array = squares / count - mean[..., :, None] * mean[..., None, :]
    return found


def _layers(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, _Window | None]]:
    constants = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    for node in model.graph.node:
        shape = constants.get(node.input[1]) if len(node.input) > 1 else None
        if shape is None:
            continue
        if node.op_type == "Gemm" and _attributes(node).get("transB") == 1 and shape[1] <= MAX_INPUTS:
            yield node, None
        if node.op_type == "Conv" and len(shape) == 4 and np.prod(shape[1:]) <= MAX_INPUTS:
            window = _window(node, shape)
            if window is not None:
                yield node, window


def _window(node: onnx.NodeProto, shape: Sequence[int]) -> _Window | None:
    found = _attributes(node)
    groups = found.get("group", 1)
    depthwise = groups > 1 and groups == shape[0] and shape[1] == 1
    plain = set(found.get("dilations", [1])) == {1} and found.get("auto_pad", b"NOTSET") == b"NOTSET"
    if not plain or (groups != 1 and not depthwise) or (depthwise and shape[2] * shape[3] > BLOCK):
        return None
    pads, strides = tuple(found.get("pads", (0, 0, 0, 0))), tuple(found.get("strides", (1, 1)))
    return _Window((shape[2], shape[3]), pads, strides, depthwise)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _seen(
    value: NDArray[np.float32], window: _Window | None, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the inputs of a layer's weights, ``(places, inputs)``; depthwise ``(channels, places, inputs)``."""
    if window is None:
        return value
    top, left, bottom, right = window.pads
    if any(window.pads):
        value = np.pad(value, ((0, 0), (0, 0), (top, bottom), (left, right)))
    patches = sliding_window_view(value, window.kernel, axis=(2, 3))
    patches = patches[:, :, :: window.strides[0], :: window.strides[1]]
    rows = rng.integers(patches.shape[2], size=PLACES_PER_CROP)
    columns = rng.integers(patches.shape[3], size=PLACES_PER_CROP)
    drawn = patches[:, :, rows, columns]
    n, channels, places = drawn.shape[:3]
    if window.depthwise:
        return drawn.transpose(1, 0, 2, 3, 4).reshape(channels, n * places, -1)
    return drawn.transpose(0, 2, 1, 3, 4).reshape(n * places, -1)
