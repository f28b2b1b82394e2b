import pytest

from sji_edge.core.errors import UsageError
from sji_edge.core.review_budget import parse_budget


@pytest.mark.parametrize(
    ("text", "share"), [("1%", 0.01), ("1 %", 0.01), ("0.02", 0.02), ("50%", 0.5), ("0.5", 0.5)]
)
def test_a_budget_is_a_percentage_or_a_fraction(text, share):
    assert parse_budget(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "0", "0%", "-1%", "51%", "0.6", "1", "nan", "inf", "much", "%"])
def test_a_budget_outside_its_range_is_refused_with_its_value(text):
    with pytest.raises(UsageError, match="above 0 and at most 50%") as caught:
        parse_budget(text)
    assert repr(text) in caught.value.message
