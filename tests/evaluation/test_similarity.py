import numpy as np
import pytest

from sji_edge.evaluation.similarity import pearson, top_iou

RNG = np.random.default_rng(3)


def test_pearson_is_numpys_correlation():
    one, other = (RNG.random((9, 7), np.float32) for _ in range(2))
    assert pearson(one, other) == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    assert pearson(one, 1 - one) == pytest.approx(-1.0)


def test_overlap_counts_the_brightest_fifth():
    one = np.zeros((10, 10), np.float32)
    one[:2] = 1.0
    other = np.zeros((10, 10), np.float32)
    other[1:3] = 1.0
    assert top_iou(one, one) == 1.0
    assert top_iou(one, other) == pytest.approx(10 / 30)


def test_a_flat_map_has_no_similarity():
    flat = np.zeros((4, 4), np.float32)
    assert pearson(flat, RNG.random((4, 4), np.float32)) is None
    assert top_iou(flat, flat) is None
