import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sji_edge.core.errors import DataError, UsageError
from sji_edge.evaluation.operating_point import SMALLEST_RATE, parse_rate, solve_operating_point


@pytest.mark.parametrize(
    ("text", "share"), [("0.5%", 0.005), ("0.5 %", 0.005), ("0.02", 0.02), ("0", 0.0), ("10%", 0.1)]
)
def test_a_rate_is_read_as_a_share(text, share):
    assert parse_rate(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "much", "-1%", "100%", "1.0", "nan", "%", "1e-320"])
def test_text_that_is_not_a_rate_is_refused(text):
    with pytest.raises(UsageError, match="share such as"):
        parse_rate(text)


@example(scores=[0.0, 5e-324, *[0.0] * 6], max_escape=0.0, seed=0)
@given(
    scores=st.lists(st.floats(0, 1), min_size=8, max_size=40),
    max_escape=st.just(0.0) | st.floats(SMALLEST_RATE, 0.9),
    seed=st.integers(0, 99),
)
def test_no_more_defects_pass_than_allowed(scores, max_escape, seed):
    values = np.array(scores)
    is_defect = np.random.default_rng(seed).permutation(np.arange(values.size) % 2 == 0)
    point = solve_operating_point(values, is_defect, max_escape)
    passed = int((values[is_defect] < point.thresholds.lower).sum())
    # Scores of 0 cannot be kept from passing by any limit above 0.
    if values[is_defect].min() > 1e-6:
        assert passed <= np.floor(max_escape * is_defect.sum() + 5e-7)
    assert point.validation["escapes"] == passed


def test_its_words_name_the_counts_and_what_the_claim_takes():
    scores = np.concatenate([np.linspace(0.01, 0.2, 50), np.linspace(0.7, 0.99, 20)])
    point = solve_operating_point(scores, np.arange(70) >= 50, 0.005)
    text = " ".join(point.words)
    assert "0 of 20 defects pass" in text
    assert "598 defects without an escape" in text
    assert "has only 20, so it cannot prove it" in text


def test_an_escape_rate_of_zero_is_called_unprovable():
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    words = solve_operating_point(scores, np.array([False, False, True, True]), 0.0).words
    assert "No number of joints proves an escape rate of zero" in words[-1]


def test_a_split_of_one_kind_has_no_operating_point():
    with pytest.raises(DataError, match="good and defective"):
        solve_operating_point(np.array([0.1, 0.2]), np.array([False, False]), 0.0)
