import pytest
from pydantic import ValidationError

from sji_edge.cli.render.common import settings_or_usage_error
from sji_edge.core.card import in_one_line
from sji_edge.core.errors import UsageError
from sji_edge.core.findings import in_words
from sji_edge.inspection.settings import RunSettings
from sji_edge.records.read.history import Filter
from sji_edge.runtime.tensorrt.options import TensorRtOptions


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


@pytest.mark.parametrize(
    ("model", "wrong", "said"),
    [
        (
            Filter,
            {"verdict": "error"},
            "--verdict is 'error'; PASS, REVIEW, FAIL or ERROR was wanted",
        ),
        (RunSettings, {"max_age_ms": float("nan")}, "--max-age-ms is nan; a finite number was wanted"),
        (RunSettings, {"takt_ms": -1.0}, "--takt-ms is -1.0; more than 0 was wanted"),
        (
            RunSettings,
            {"queue": 20_000, "shadow": "abc"},
            "--queue is 20000; 10000 or less was wanted; --shadow: 'abc' is no share such as 1/500",
        ),
        (RunSettings, {"policy": "newest"}, "--policy is 'newest'; every or latest was wanted"),
        (
            TensorRtOptions,
            {"compute_capabilities": ("8.6", "8")},
            "--compute-capability: '8' is no compute capability such as 8.6",
        ),
        (
            TensorRtOptions,
            {"compute_capabilities": ("8.6", "8.6")},
            "a compute capability stands twice",
        ),
    ],
)
def test_an_option_is_refused_by_its_name_as_typed(model, wrong, said):
    with pytest.raises(UsageError) as caught:
        settings_or_usage_error(model, **wrong)
    assert caught.value.message == said
