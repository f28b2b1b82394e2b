"""Counts latencies in a histogram of fixed size.

Buckets grow with the value, 128 for each power of two, as in Gil Tene's HdrHistogram. Percentiles are accurate to
0.8 %, and the maximum is exact.
"""

from dataclasses import dataclass

import numpy as np

SUB_BITS = 7
SUB_BUCKETS = 1 << SUB_BITS
MAX_BITS = 48
"""Three days in nanoseconds; longer latencies are counted in the last bucket, but the maximum stays exact."""


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Percentiles of all values in milliseconds; outliers are included."""

    count: int
    total_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float

    @property
    def mean_ms(self) -> float:
        """The mean; 0 when nothing was measured."""
        return self.total_ms / self.count if self.count else 0.0


class LatencyHistogram:
    """Counts latencies of one stage."""

    def __init__(self) -> None:
        self._counts = np.zeros((MAX_BITS - SUB_BITS + 1) * SUB_BUCKETS, np.int64)
        self.count = 0
        self.total_ns = 0
        self._max_ns = 0

    def add(self, latency_ns: int) -> None:
        """Count one latency; a negative one counts as zero."""
        latency_ns = max(0, latency_ns)
        self._counts[_bucket(latency_ns)] += 1
        self.count += 1
        self.total_ns += latency_ns
        self._max_ns = max(self._max_ns, latency_ns)

    def percentile_ns(self, percent: float) -> int:
        """Return the upper end of the bucket that contains this percentile; 0 without values."""
        if not self.count:
            return 0
        wanted = max(1, int(np.ceil(self.count * percent / 100)))
        bucket = int(np.searchsorted(np.cumsum(self._counts), wanted))
        return min(_upper_end(bucket), self._max_ns)

    def summary(self) -> LatencySummary:
        """Return the usual percentiles; zeros without values."""
        p50, p90, p99, p999 = (self.percentile_ns(percent) / 1e6 for percent in (50, 90, 99, 99.9))
        return LatencySummary(self.count, self.total_ns / 1e6, p50, p90, p99, p999, self._max_ns / 1e6)


def _bucket(value: int) -> int:
    value = min(value, (1 << MAX_BITS) - 1)
    shift = max(0, value.bit_length() - SUB_BITS - 1)
    # From the second octave on value >> shift runs from SUB_BUCKETS to twice that.
    return shift * SUB_BUCKETS + (value >> shift)


def _upper_end(bucket: int) -> int:
    shift = max(0, bucket // SUB_BUCKETS - 1)
    return (((bucket - shift * SUB_BUCKETS) + 1) << shift) - 1
