"""Finds the ranges of activations: one histogram for each tensor, and the methods that take a range from it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest
from sji_edge.quantization.tensor_values import tensors_on

BINS = 2048
SAMPLED_VALUES = 8192
"""Number of values of a tensor and crop that enter its histogram, evenly spaced; its ends are exact."""

PERCENTILE = 99.99
LEVELS = 128
"""Number of magnitudes in a symmetric INT8 range; ``entropy`` compares histograms with this many bins."""

SMALLEST_SHARE = 0.2
"""The narrowest range that ``mse`` considers, as a share of the widest."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Histogram:
    """Values of one tensor: the lowest and highest, and counts in ``BINS`` bins of equal width between them."""

    low: float
    high: float
    counts: NDArray[np.int64]

    @property
    def ends(self) -> Range:
        """Lowest and highest value."""
        return self.low, self.high

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middle of each bin."""
        width = (self.high - self.low) / len(self.counts)
        centres: NDArray[np.float64] = self.low + width * (
            np.arange(len(self.counts), dtype=np.float64) + 0.5
        )
        return centres


def histograms(
    model: onnx.ModelProto, names: Sequence[str], crops: NDArray[np.uint8]
) -> dict[str, Histogram]:
    """Measure tensors on crops in two passes: first their ends, then the counts between them.

    Args:
        model: the float graph.
        names: its tensors.
        crops: uint8 ``(n, height, width, channels)``, n ≥ 1.
    """
    ends: dict[str, Range] = {}
    for values in tensors_on(model, names, crops):
        for name, value in values.items():
            low, high = ends.get(name, (np.inf, -np.inf))
            ends[name] = (min(low, float(value.min())), max(high, float(value.max())))
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for values in tensors_on(model, names, crops):
        for name, value in values.items():
            low, high = ends[name]
            flat = value.reshape(-1)
            flat = flat[:: max(1, flat.size // (SAMPLED_VALUES * len(value)))]
            if high > low:
                counts[name] += np.histogram(flat, BINS, range=(low, high))[0]
            else:
                counts[name][0] += flat.size
    return {name: Histogram(*ends[name], counts[name]) for name in names}


def range_of(histogram: Histogram, method: str, *, symmetric: bool) -> Range:
    """Return the lowest and the highest real value for INT8, with 0 between them.

    Args:
        histogram: the tensor's histogram.
        method: a name of ``METHODS``.
        symmetric: the range is symmetric about 0; otherwise it starts at the lowest value.

    Raises:
        UsageError: an unknown method.
    """
    if method not in METHODS:
        raise UsageError(f"unknown range method {method!r}", hint=nearest(method, ["auto", *METHODS]))
    low, high = METHODS[method](histogram, symmetric)
    return max(min(low, 0.0), min(histogram.low, 0.0)), min(max(high, 0.0), max(histogram.high, 0.0))


def clipped_shares(
    model: onnx.ModelProto, ranges: Mapping[str, Range], crops: NDArray[np.uint8]
) -> dict[str, float]:
    """Return the share of each tensor's values outside its range, on crops not used for the range."""
    outside = dict.fromkeys(ranges, 0)
    seen = dict.fromkeys(ranges, 0)
    for values in tensors_on(model, list(ranges), crops):
        for name, value in values.items():
            low, high = ranges[name]
            outside[name] += int(((value < low) | (value > high)).sum())
            seen[name] += value.size
    return {name: outside[name] / seen[name] for name in ranges if seen[name]}


def _minmax(histogram: Histogram, _symmetric: bool) -> Range:
    return histogram.low, histogram.high


def _percentile(histogram: Histogram, _symmetric: bool) -> Range:
    """Leave out values whose magnitude is above the percentile."""
    magnitudes = np.abs(histogram.centres)
    order = np.argsort(magnitudes)
    below = np.cumsum(histogram.counts[order]) / max(1, histogram.counts.sum())
    reach = float(magnitudes[order][min(int(np.searchsorted(below, PERCENTILE / 100)), BINS - 1)])
    # Up to the outer edge of the bin: many values lie at an activation's upper limit, and must stay inside.
    reach += (histogram.high - histogram.low) / (2 * BINS) * (1 + 1e-6)
    return max(histogram.low, -reach), min(histogram.high, reach)


def _mse(histogram: Histogram, symmetric: bool) -> Range:
    """Minimize the squared error: rounding, which grows with the range, plus what is cut off outside it."""
    ends = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if symmetric:
        ends = min(ends[0], -ends[1]), max(ends[1], -ends[0])
    centres, counts = histogram.centres, histogram.counts

    def error(share: float) -> float:
        low, high = share * ends[0], share * ends[1]
        beyond = np.maximum(centres - high, 0.0) + np.maximum(low - centres, 0.0)
        step = high / (LEVELS - 1) if symmetric else (high - low) / (2 * LEVELS - 1)
        return float((counts * np.where(beyond > 0.0, beyond**2, step**2 / 12)).sum())

    best = min(np.linspace(1.0, SMALLEST_SHARE, 161).tolist(), key=error)
    return best * ends[0], best * ends[1]


def _entropy(histogram: Histogram, _symmetric: bool) -> Range:
    """Minimize the Kullback-Leibler divergence between the values and their quantized values (Migacz, GTC 2017)."""
    magnitudes = np.abs(histogram.centres)
    reach = float(magnitudes.max())
    if reach == 0.0:
        return histogram.low, histogram.high
    counts = np.histogram(magnitudes, BINS, range=(0.0, reach), weights=histogram.counts)[0]
    # The zeros of an activation are exact in any range; if they counted, they would outweigh the rest.
    counts[0] = counts[1]
    sizes = range(LEVELS, BINS + 1, 8)
    best = min(_divergences(counts, sizes))[1] * reach / BINS + (histogram.high - histogram.low) / (2 * BINS)
    return max(histogram.low, -best), min(histogram.high, best)


def _divergences(counts: NDArray[np.float64], sizes: Sequence[int]) -> Iterator[tuple[float, int]]:
    for size in sizes:
        kept = counts[:size].astype(np.float64)
        wanted = kept.copy()
        wanted[-1] += counts[size:].sum()
        level = np.arange(size) * LEVELS // size
        used = kept > 0
        held = np.bincount(level, weights=kept, minlength=LEVELS)
        bins = np.bincount(level, weights=used, minlength=LEVELS)
        given = np.where(used, (held / np.maximum(bins, 1))[level], 0.0)
        yield _divergence(wanted, given), size


def _divergence(wanted: NDArray[np.float64], given: NDArray[np.float64]) -> float:
    """Return the KL divergence of two histograms, smoothed a little so that it is never infinite."""
    p, q = (values / max(values.sum(), 1.0) + 1e-9 for values in (wanted, given))
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


METHODS: Mapping[str, Callable[[Histogram, bool], Range]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}
