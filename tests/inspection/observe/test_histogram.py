import numpy as np
import pytest

from sji_edge.inspection.observe.histogram import LatencyHistogram


@pytest.mark.parametrize("scale", [3.0, 8.0, 13.0, 20.0])
def test_percentiles_are_within_a_hundredth_of_the_sorted_values(scale):
    values = np.random.default_rng(int(scale)).lognormal(scale, 1.0, 20_000).astype(np.int64)
    histogram = LatencyHistogram()
    for value in values.tolist():
        histogram.add(value)
    ordered = np.sort(values)
    for percent in (50, 90, 99, 99.9):
        exact = ordered[int(np.ceil(len(values) * percent / 100)) - 1]
        assert exact <= histogram.percentile_ns(percent) <= exact * 1.008 + 1
    assert histogram.summary().max_ms == values.max() / 1e6
    assert histogram.summary().count == len(values)
    assert histogram.total_ns == values.sum()


def test_no_outlier_is_left_out_and_nothing_is_too_long():
    histogram = LatencyHistogram()
    for value in [1_000] * 999 + [10**16]:
        histogram.add(value)
    assert histogram.percentile_ns(99.9) == pytest.approx(1_000, rel=0.008)
    assert histogram.summary().max_ms == 1e10
    assert histogram.percentile_ns(100) > 10**14


def test_nothing_measured_is_zero():
    summary = LatencyHistogram().summary()
    assert (summary.count, summary.p50_ms, summary.max_ms) == (0, 0.0, 0.0)
