import pytest
from pydantic import ValidationError

from sji_edge.core.card import in_one_line
from sji_edge.core.findings import in_words
from sji_edge.inspection.settings import RunSettings
from sji_edge.sinks.history import Filter


@pytest.mark.parametrize(
    ("model", "wrong", "said"),
    [
        (RunSettings, {"shadow": "abc"}, "shadow: 'abc' is no share such as 1/500"),
        (RunSettings, {"takt_ms": -1}, "takt_ms: Input should be greater than 0"),
        (
            Filter,
            {"since": "soon"},
            "since: 'soon' is no UTC time; write it as 2025-01-31, 2025-01-31T08:00, "
            "or one as the tables print it",
        ),
    ],
)
def test_a_finding_is_what_the_validator_wrote(model, wrong, said):
    with pytest.raises(ValidationError) as caught:
        model(**wrong)
    assert in_one_line(caught.value) == said


def test_only_what_pydantic_puts_before_it_is_taken_off():
    assert in_words("Assertion failed, two marks") == "two marks"
    assert in_words("no Value error, here") == "no Value error, here"
