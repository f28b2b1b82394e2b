"""Cross-layer equalization: gives the channels of a tensor similar ranges before INT8.

In INT8 one scale serves a whole activation tensor, so a channel with a small range has few levels. Scaling a channel
up in the convolution that produces it and down in the one that reads it changes nothing in exact arithmetic, and gives
the channel its levels back (Nagel et al. 2019, arXiv 1906.04721). Between the two there may be a ReLU, which passes any
positive scale, or a clip such as ReLU6, which passes a scale as long as the channel stays below the clip. On the
calibration crops it does, with a margin; the parity gate checks the result.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from sji_edge.quantization.tensor_values import tensors_on

MAX_SCALE = 64.0
CLIP_MARGIN = 1.15
"""How far a channel may exceed its largest calibrated value before it reaches the clip."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Pair:
    """A convolution, its activation tensor, and the only convolution that reads it."""

    producer: onnx.NodeProto
    consumer: onnx.NodeProto
    tensor: str
    clip: float | None


def equalizable_pairs(model: onnx.ModelProto) -> list[Pair]:
    """Find convolutions joined directly, by a ReLU, or by a clip from 0, whose tensor has no other reader."""
    graph = model.graph
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(output.name for output in graph.output)
    maker = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    pairs = []
    for consumer in graph.node:
        if consumer.op_type != "Conv" or readers[consumer.input[0]] != 1:
            continue
        between = maker.get(consumer.input[0])
        clip = None
        if between is not None and between.op_type in ("Relu", "Clip"):
            if between.op_type == "Clip":
                clip = _upper_limit(between, constants)
                if clip is None:
                    continue
            if readers[between.input[0]] != 1:
                continue
            producer = maker.get(between.input[0])
        else:
            producer = between
        if producer is not None and producer.op_type == "Conv":
            pairs.append(Pair(producer, consumer, consumer.input[0], clip))
    return pairs


def channel_reach(model: onnx.ModelProto, crops: NDArray[np.uint8]) -> dict[str, Array]:
    """Return the largest |value| of each channel of the pairs' tensors on crops, float32 ``(channels,)``, by tensor."""
    names = [pair.tensor for pair in equalizable_pairs(model)]
    reach: dict[str, Array] = {}
    for values in tensors_on(model, names, crops) if names else ():
        for name, value in values.items():
            batch = np.abs(value).max(axis=(0, 2, 3))
            reach[name] = np.maximum(reach[name], batch) if name in reach else batch
    return reach


def equalize(model: onnx.ModelProto, channel_max: Mapping[str, Array]) -> onnx.ModelProto:
    """Return the model with the channels between paired convolutions equalized.

    Args:
        model: the float graph, batch normalization folded.
        channel_max: largest |value| of each channel of the pairs' tensors on the calibration crops,
            float32 ``(channels,)``.

    Returns:
        A new model that computes the same function wherever no channel exceeds its calibrated range
        by more than ``CLIP_MARGIN``.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in result.graph.initializer}
    for pair in equalizable_pairs(result):
        kernel = numpy_helper.to_array(weights[pair.consumer.input[1]])
        scale = _scales(pair, channel_max[pair.tensor], kernel)
        _scale(weights, pair.producer, scale, output=True)
        _scale(weights, pair.consumer, 1.0 / scale, output=False)
    return result


def _scales(pair: Pair, reach: Array, kernel: Array) -> Array:
    """Return a factor for each channel: it fills the range, damped where that would coarsen the next kernel."""
    live = reach > 1e-6
    full = float(reach.max()) if pair.clip is None else pair.clip
    room = np.where(live, full / np.maximum(reach, 1e-6) / (CLIP_MARGIN if pair.clip else 1.0), 1.0)
    if _is_depthwise(pair.consumer, kernel):
        # Each output channel has its own weight scale: the next kernel loses nothing.
        wanted = room
    else:
        row = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True)
        share = (np.abs(kernel) / np.maximum(row, 1e-12)).max(axis=(0, 2, 3))
        wanted = np.sqrt(room * np.maximum(share, 1e-4))
        wanted = np.minimum(wanted / wanted.min() if pair.clip is None else wanted, room)
    # A channel that reaches the clip must keep its scale, or the clip would move.
    keep = ~live | (room <= 1.0) if pair.clip is not None else ~live
    return np.where(keep, 1.0, np.clip(wanted, 1.0 / MAX_SCALE, MAX_SCALE)).astype(np.float32)


def _is_depthwise(node: onnx.NodeProto, kernel: Array) -> bool:
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return bool(kernel.shape[1] == 1 and groups == kernel.shape[0])


def _upper_limit(clip: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> float | None:
    """Return the clip's upper limit if the lower one is 0 and both are constants."""
    limits = [constants.get(name) for name in clip.input[1:3]]
    if len(limits) != 2 or limits[0] is None or limits[1] is None:
        return None
    low, high = (float(numpy_helper.to_array(limit)) for limit in limits if limit is not None)
    return high if low == 0.0 else None


def _scale(
    weights: Mapping[str, onnx.TensorProto], node: onnx.NodeProto, scale: Array, *, output: bool
) -> None:
    """Multiply a convolution's output channels (kernel rows and bias) or its input channels by ``scale``."""
    tensor = weights[node.input[1]]
    kernel = numpy_helper.to_array(tensor)
    by_row = output or _is_depthwise(node, kernel)
    shape = (-1, 1, 1, 1) if by_row else (1, -1, 1, 1)
    tensor.CopyFrom(numpy_helper.from_array((kernel * scale.reshape(shape)).astype(np.float32), tensor.name))
    if output and len(node.input) > 2:
        bias = weights[node.input[2]]
        scaled = (numpy_helper.to_array(bias) * scale).astype(np.float32)
        bias.CopyFrom(numpy_helper.from_array(scaled, bias.name))
