import math

import numpy as np
import pytest

from sji_edge.benchmark.latency import Latency
from sji_edge.core.errors import GateError


def _rank(values: list[int], share: float) -> float:
    """Nearest rank, written out: the smallest value that at least ``share`` of all do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values) - 1e-9), 1) - 1] / 1e6


@pytest.mark.parametrize("n", [1, 2, 7, 100, 999, 1000, 1001, 5000])
def test_percentiles_are_measured_durations_by_nearest_rank(n: int) -> None:
    values = np.random.default_rng(n).integers(1, 10**9, n).tolist()
    latency = Latency.of(values, batch=3)
    assert latency.calls == n
    found = (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p99_9_ms, latency.max_ms)
    assert found == pytest.approx([_rank(values, share) for share in (0.5, 0.9, 0.99, 0.999, 1.0)])
    assert latency.mean_ms == pytest.approx(sum(values) / n / 1e6)
    assert latency.joints_per_s == pytest.approx(3 * n / (sum(values) / 1e9))


def test_one_slow_call_among_many_is_not_left_out() -> None:
    latency = Latency.of([10**6] * 999 + [10**9], batch=1)
    assert (latency.p50_ms, latency.p99_9_ms, latency.max_ms) == (1.0, 1.0, 1000.0)
    assert Latency.of([10**6] * 998 + [10**9] * 2, batch=1).p99_9_ms == 1000.0


def test_no_call_is_no_evidence() -> None:
    with pytest.raises(GateError, match="nothing to report"):
        Latency.of([], 1)
