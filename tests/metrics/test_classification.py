import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from sji_edge.metrics.classification import accuracy, f1, macro_f1


def test_they_equal_scikit_learns():
    rng = np.random.default_rng(0)
    for classes in (2, 4):
        for _ in range(20):
            predicted, labels = rng.integers(classes, size=(2, 25))
            assert accuracy(predicted, labels) == pytest.approx(accuracy_score(labels, predicted))
            assert macro_f1(predicted, labels) == pytest.approx(f1_score(labels, predicted, average="macro"))
            assert f1(predicted == 1, labels == 1) == pytest.approx(f1_score(labels == 1, predicted == 1))


def test_nothing_has_no_figure():
    empty = np.empty(0, int)
    assert accuracy(empty, empty) is None
    assert macro_f1(empty, empty) is None
    assert f1(np.array([False]), np.array([False])) is None
    with pytest.raises(ValueError, match="do not match"):
        accuracy(np.zeros(2, int), np.zeros(3, int))
