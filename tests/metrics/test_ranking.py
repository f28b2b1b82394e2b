import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sji_edge.metrics.ranking import auroc, average_precision, false_call_rate_at_escape


def _random_cases():
    rng = np.random.default_rng(0)
    for trial in range(60):
        n = int(rng.integers(2, 80))
        scores = rng.random(n) if trial % 2 else rng.integers(0, 5, n) / 4.0
        truth = rng.random(n) < 0.3
        truth[0], truth[1] = True, False
        yield scores, truth


def test_average_precision_and_auroc_equal_scikit_learns_with_and_without_ties() -> None:
    for scores, truth in _random_cases():
        assert average_precision(scores, truth) == pytest.approx(
            average_precision_score(truth, scores), abs=1e-12
        )
        assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


@pytest.mark.parametrize("max_escape", [0.0, 0.05, 0.1, 0.3, 0.999, 1.0])
def test_false_call_rate_equals_a_search_over_all_thresholds(max_escape: float) -> None:
    for scores, truth in _random_cases():
        best = 1.0
        for threshold in [*np.unique(scores), np.inf]:
            called = scores >= threshold
            if (truth & ~called).sum() / truth.sum() <= max_escape + 1e-9:
                best = min(best, (~truth & called).sum() / (~truth).sum())
        assert false_call_rate_at_escape(scores, truth, max_escape) == pytest.approx(best, abs=1e-12)


def test_one_class_alone_gives_none() -> None:
    scores = np.array([0.1, 0.9])
    assert average_precision(scores, np.array([False, False])) is None
    assert auroc(scores, np.array([True, True])) is None
    assert false_call_rate_at_escape(scores, np.array([True, True]), 0.0) is None
    assert average_precision(np.empty(0), np.empty(0, bool)) is None


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        auroc(np.array([0.1, np.nan]), np.array([True, False]))
