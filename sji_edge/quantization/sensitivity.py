"""Measures which layers INT8 hurts: each is quantized alone, and its noise measured at the logits."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sji_edge.quantization.int8.quantizer import Quantizer
from sji_edge.quantization.tensor_values import logits_on


def layer_noise(
    quantizer: Quantizer,
    crops: NDArray[np.uint8],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, float]:
    """Return the root mean square Δlogit of each layer quantized alone, on crops outside the calibration.

    Args:
        quantizer: the model's quantizer.
        crops: uint8 ``(n, height, width, channels)``.
        progress: called with the number of layers done and their total.

    Returns:
        Noise by layer name, in the graph's order.
    """
    layers = quantizer.layers()
    reference = logits_on(quantizer.model, crops)
    noise = {}
    for done, layer in enumerate(layers):
        progress(done, len(layers))
        alone = quantizer.quantize(keep_float=[other for other in layers if other != layer])
        noise[layer] = float(np.sqrt(np.mean((logits_on(alone, crops) - reference) ** 2)))
    progress(len(layers), len(layers))
    return noise
