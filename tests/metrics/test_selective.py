from itertools import permutations

import numpy as np
import pytest

from sji_edge.metrics.selective import aurc, risk_coverage


def test_the_curve_and_its_area_are_those_of_counting():
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(50), rng.random(50) < 0.7
    order = sorted(range(50), key=lambda i: -confidence[i])
    risks = [np.mean([not correct[i] for i in order[: k + 1]]) for k in range(50)]
    np.testing.assert_allclose(risk_coverage(confidence, correct), risks, atol=1e-12)
    assert aurc(confidence, correct) == pytest.approx(np.mean(risks))


def test_ties_are_the_mean_over_every_order():
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    correct = np.array([True, False, True, False, True])
    curves = []
    for middle in permutations([1, 2, 3]):
        wrong = ~correct[[0, *middle, 4]]
        curves.append(np.cumsum(wrong) / np.arange(1, 6))
    np.testing.assert_allclose(risk_coverage(confidence, correct), np.mean(curves, axis=0), atol=1e-12)


def test_nothing_has_no_area_and_nan_no_rank():
    assert aurc(np.empty(0), np.empty(0, bool)) is None
    with pytest.raises(ValueError, match="not finite"):
        aurc(np.array([np.nan]), np.array([True]))
    with pytest.raises(ValueError, match="do not match"):
        aurc(np.array([0.5]), np.array([True, False]))
