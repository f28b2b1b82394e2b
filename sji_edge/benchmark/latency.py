"""Turns the durations of calls into percentiles; every call counts."""

from collections.abc import Sequence

import numpy as np

from sji_edge.core.errors import GateError
from sji_edge.core.frozen import FrozenModel


class Latency(FrozenModel):
    """Durations of one predictor's calls with a batch of crops.

    A percentile is the smallest measured duration that at least that share of the calls did not exceed (the inverse of
    the empirical distribution), so it is always a duration that occurred. With fewer than 1000 calls p99.9 is the
    maximum.
    """

    calls: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p99_9_ms: float
    max_ms: float
    joints_per_s: float

    @classmethod
    def of(cls, durations_ns: Sequence[int], batch: int) -> "Latency":
        """Summarize all durations, none left out.

        Args:
            durations_ns: one for each call.
            batch: crops in each call.

        Raises:
            GateError: there is no call to summarize.
        """
        if not durations_ns:
            raise GateError("no call was measured, so there is nothing to report")
        spans = np.sort(np.asarray(durations_ns, np.float64) / 1e6)
        # In whole numbers: 0.999 times 1000 is a little more than 999 in floating point.
        ranks = [-(-len(spans) * permille // 1000) - 1 for permille in (500, 900, 990, 999)]
        p50, p90, p99, p99_9 = spans[ranks].tolist()
        return cls(
            calls=len(spans),
            mean_ms=float(spans.mean()),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            p99_9_ms=p99_9,
            max_ms=float(spans.max()),
            joints_per_s=float(batch * len(spans) / spans.sum() * 1e3),
        )
