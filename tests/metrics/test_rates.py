import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from sji_edge.core.verdict import ERROR, FAIL, PASS, REVIEW
from sji_edge.metrics.intervals import clopper_pearson
from sji_edge.metrics.rates import defect_rates


def test_counts_by_hand() -> None:
    codes = np.array([PASS, FAIL, REVIEW, ERROR, PASS, FAIL, REVIEW, ERROR, PASS], np.int8)
    truth = np.array([True, True, True, True, False, False, False, False, False])
    rates = defect_rates(codes, truth)
    assert (rates.defects, rates.goods) == (4, 5)
    assert (rates.caught, rates.escapes, rates.false_calls) == (1, 1, 1)
    assert (rates.reviews, rates.good_reviews, rates.errors) == (2, 1, 2)
    assert rates.escape_rate == 0.25
    assert rates.false_call_rate == 0.2
    assert rates.escape_interval == clopper_pearson(1, 4)
    assert rates.false_call_interval == clopper_pearson(1, 5)


def test_precision_recall_f1_equal_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        codes = rng.integers(0, 4, 60).astype(np.int8)
        truth = rng.random(60) < 0.3
        rates = defect_rates(codes, truth)
        called = codes == FAIL
        assert rates.precision == pytest.approx(precision_score(truth, called))
        assert rates.recall == pytest.approx(recall_score(truth, called))
        assert rates.f1 == pytest.approx(f1_score(truth, called))


def test_an_empty_denominator_gives_none_not_a_number() -> None:
    goods_only = defect_rates(np.array([PASS, PASS], np.int8), np.array([False, False]))
    assert goods_only.escape_rate is None
    assert goods_only.escape_interval == (0.0, 1.0)
    assert goods_only.precision is goods_only.recall is goods_only.f1 is None
    nothing = defect_rates(np.empty(0, np.int8), np.empty(0, bool))
    assert nothing.false_call_rate is None


def test_mismatched_or_untyped_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="do not match"):
        defect_rates(np.zeros(3, np.int8), np.zeros(2, bool))
    with pytest.raises(ValueError, match="labels must be bool"):
        defect_rates(np.zeros(2, np.int8), np.zeros(2, np.int64))  # type: ignore[arg-type]


def test_as_dict_is_json_with_every_figure() -> None:
    rates = defect_rates(np.array([PASS, FAIL], np.int8), np.array([True, False]))
    loaded = json.loads(json.dumps(rates.as_dict(), allow_nan=False))
    assert loaded["escapes"] == loaded["escape_rate"] == 1
    assert loaded["false_call_interval"] == list(rates.false_call_interval)
    assert loaded["f1"] == 0.0
