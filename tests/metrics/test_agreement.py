"""Cohen's κ against scikit-learn, and an interval that a few items cannot make certain."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from sji_edge.metrics.agreement import Agreement, cohen_kappa


@pytest.mark.parametrize("seed", range(4))
def test_kappa_is_scikit_learns(seed):
    random = np.random.default_rng(seed)
    first = random.choice(["good", "bridge", "void"], 200, p=[0.6, 0.3, 0.1])
    second = np.where(random.random(200) < 0.2, random.choice(["good", "bridge"], 200), first)
    found = cohen_kappa(list(zip(first.tolist(), second.tolist(), strict=True)))
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
    assert found.low < found.kappa < found.high
    assert (found.items, found.agreed) == (200, int((first == second).sum()))


def test_three_items_that_agree_do_not_prove_agreement():
    found = cohen_kappa([("good", "good"), ("bridge", "bridge"), ("good", "good")])
    assert found.kappa == 1.0
    assert found.low < 0.5


@pytest.mark.parametrize("pairs", [[], [("good", "good")] * 5])
def test_without_items_or_a_second_word_there_is_no_kappa(pairs):
    assert cohen_kappa(pairs) == Agreement(len(pairs), len(pairs), None, None, None)
