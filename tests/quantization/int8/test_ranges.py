import numpy as np
import pytest
from support.small_graph import crops, model

from sji_edge.core.errors import UsageError
from sji_edge.quantization.int8.ranges import BINS, METHODS, Histogram, clipped_shares, histograms, range_of
from sji_edge.quantization.tensor_values import tensors_on


def histogram_of(values: np.ndarray) -> Histogram:
    return Histogram(float(values.min()), float(values.max()), np.histogram(values, BINS)[0])


def squared_error(values: np.ndarray, reach: float) -> float:
    step = reach / 127
    found = np.clip(np.round(values / step), -128, 127) * step
    return float(((found - values) ** 2).mean())


NORMAL = np.random.default_rng(0).normal(size=200_000)
HEAVY = np.concatenate([NORMAL, [60.0]])


def test_minmax_reaches_everything():
    assert range_of(histogram_of(HEAVY), "minmax", symmetric=True) == (HEAVY.min(), 60.0)


def test_percentile_leaves_out_one_in_ten_thousand():
    low, high = range_of(histogram_of(NORMAL), "percentile", symmetric=True)
    outside = ((low > NORMAL) | (high < NORMAL)).mean()
    assert 0.5e-4 < outside < 1.5e-4


def test_mse_is_the_range_that_rounds_and_clips_least():
    high = range_of(histogram_of(HEAVY), "mse", symmetric=True)[1]
    naive = min(np.linspace(12.0, 60.0, 200), key=lambda reach: squared_error(HEAVY, reach))
    assert squared_error(HEAVY, high) <= 1.02 * squared_error(HEAVY, naive)
    assert high < 60.0


def test_entropy_cuts_a_lone_outlier_off():
    assert range_of(histogram_of(HEAVY), "entropy", symmetric=True)[1] < 30.0


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("symmetric", [True, False])
def test_every_range_contains_zero_and_no_unseen_value(method, symmetric):
    for values in (NORMAL, NORMAL + 50, NORMAL - 50, np.zeros(10), np.full(10, 3.0), np.full(10, -3.0)):
        low, high = range_of(histogram_of(values), method, symmetric=symmetric)
        assert min(0.0, values.min()) <= low <= 0.0 <= high <= max(0.0, values.max())


def test_an_unknown_method_suggests_the_nearest():
    with pytest.raises(UsageError) as caught:
        range_of(histogram_of(NORMAL), "mean", symmetric=True)
    assert caught.value.hint


def test_histograms_count_what_the_graph_computes():
    batch = crops(40)
    found = histograms(model(), ["sa"], batch)["sa"]
    values = np.concatenate([part["sa"] for part in tensors_on(model(), ["sa"], batch)])
    assert (found.low, found.high) == (values.min(), values.max())
    np.testing.assert_array_equal(found.counts, np.histogram(values, BINS)[0])


def test_clipped_shares_count_values_outside():
    batch = crops(10)
    values = np.concatenate([part["d"] for part in tensors_on(model(), ["d"], batch)])
    wanted = float(((values < -1.0) | (values > 0.5)).mean())
    assert clipped_shares(model(), {"d": (-1.0, 0.5)}, batch)["d"] == pytest.approx(wanted)
    assert 0.0 < wanted < 1.0
