import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax

from sji_edge.metrics.calibration import (
    calibrated_cross_entropy,
    expected_calibration_error,
    fit_temperature,
    platt_targets,
    reliability_bins,
    softmax,
)


def answers(seed: int, n: int = 200, classes: int = 3):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 3, (n, classes)), rng.integers(classes, size=n)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_ece_is_the_mean_gap_joint_by_joint(bins):
    logits, labels = answers(0)
    p = scipy_softmax(logits, axis=1)
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == labels
    expected = 0.0
    for b in range(bins):
        inside = [i for i in range(len(p)) if b / bins < confidence[i] <= (b + 1) / bins]
        if inside:
            gap = abs(np.mean([correct[i] for i in inside]) - np.mean([confidence[i] for i in inside]))
            expected += len(inside) / len(p) * gap
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(expected, abs=1e-12)


def test_bins_hold_their_edges_and_an_empty_one_is_nan():
    bins = reliability_bins(np.array([0.0, 0.5, 0.5001, 1.0]), np.array([False, True, True, True]), 2)
    assert bins.joints.tolist() == [2, 2]
    assert bins.accuracy.tolist() == [0.5, 1.0]
    assert np.isnan(reliability_bins(np.array([0.9]), np.array([True]), 2).accuracy[0])
    assert expected_calibration_error(np.empty(0), np.empty(0, bool)) is None
    for confidence in (np.array([1.1]), np.array([np.nan])):
        with pytest.raises(ValueError, match="between 0 and 1"):
            reliability_bins(confidence, np.array([True]))


@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
def test_the_temperature_is_where_scipy_finds_the_lowest_cross_entropy(scale):
    logits, labels = answers(1)
    logits[np.arange(200), labels] += 2.0
    logits *= scale
    targets = platt_targets(labels, 3)

    def cross_entropy(log_t):
        return -(targets * log_softmax(logits / np.exp(log_t), axis=1)).sum(axis=1).mean()

    best = minimize_scalar(cross_entropy, bounds=(-4.6, 4.6), method="bounded", options={"xatol": 1e-9})
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(np.exp(best.x), rel=1e-4)
    assert calibrated_cross_entropy(logits, labels) == pytest.approx(best.fun, rel=1e-9)
    np.testing.assert_allclose(softmax(logits, 2.0), scipy_softmax(logits / 2.0, axis=1), atol=1e-12)


def test_a_separated_split_has_a_finite_temperature_that_does_not_depend_on_the_scale():
    labels = np.array([0] * 30 + [1] * 5)
    logits = np.where(labels[:, None] == np.arange(2), 4.0, -4.0)
    assert softmax(logits, fit_temperature(logits, labels))[0, 0] == pytest.approx(31 / 32, abs=0.02)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * fit_temperature(logits, labels), rel=1e-6)
    assert calibrated_cross_entropy(3 * logits, labels) == pytest.approx(
        calibrated_cross_entropy(logits, labels)
    )
    assert platt_targets(labels, 2)[-1].tolist() == pytest.approx([1 / 7, 6 / 7])


def test_no_joint_or_no_finite_logit_has_no_temperature():
    with pytest.raises(ValueError, match="finite"):
        fit_temperature(np.empty((0, 2)), np.empty(0, int))
    with pytest.raises(ValueError, match="finite"):
        fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))
