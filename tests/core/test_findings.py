import pytest
from pydantic import ValidationError

from sji_edge.cli.settings import settings_or_usage_error
from sji_edge.core.card import in_one_line
from sji_edge.core.errors import UsageError
from sji_edge.core.findings import in_words, parse_settings
from sji_edge.inspection.settings import RunSettings
from sji_edge.records.read.history import Filter
from sji_edge.runtime.tensorrt.options import TensorRtOptions


@pytest.mark.parametrize(
    ("model", "wrong", "said"),
    [
        (RunSettings, {"shadow": "abc"}, "shadow: 'abc' is not a share; write it like 1/500 or 0.002"),
        (RunSettings, {"takt_ms": -1}, "takt_ms: Input should be greater than 0"),
        (
            Filter,
            {"since": "soon"},
            "since: 'soon' is not a UTC time; write it as 2025-01-31, 2025-01-31T08:00, "
            "or one as the tables print it",
        ),
    ],
)
def test_a_finding_carries_the_validators_own_message(model, wrong, said):
    with pytest.raises(ValidationError) as caught:
        model(**wrong)
    assert in_one_line(caught.value) == said


def test_only_pydantics_own_prefix_is_removed():
    assert in_words("Assertion failed, two marks") == "two marks"
    assert in_words("no Value error, here") == "no Value error, here"


@pytest.mark.parametrize(
    ("model", "wrong", "said"),
    [
        (
            Filter,
            {"verdict": "error"},
            "--verdict must be PASS, REVIEW, FAIL or ERROR (got 'error')",
        ),
        (RunSettings, {"max_age_ms": float("nan")}, "--max-age-ms must be a finite number (got nan)"),
        (RunSettings, {"takt_ms": -1.0}, "--takt-ms must be more than 0 (got -1.0)"),
        (
            RunSettings,
            {"queue": 20_000, "shadow": "abc"},
            "--queue must be at most 10000 (got 20000); --shadow: 'abc' is not a share; write it like 1/500 or 0.002",
        ),
        (RunSettings, {"policy": "newest"}, "--policy must be every or latest (got 'newest')"),
        (
            TensorRtOptions,
            {"compute_capabilities": ("8.6", "8")},
            "--compute-capability: a compute capability must look like 8.6 (got '8')",
        ),
        (
            TensorRtOptions,
            {"compute_capabilities": ("8.6", "8.6")},
            "duplicate compute capability",
        ),
    ],
)
def test_a_wrong_option_is_named_as_the_user_types_it(model, wrong, said):
    with pytest.raises(UsageError) as caught:
        settings_or_usage_error(model, **wrong)
    assert caught.value.message == said


def test_below_the_command_line_a_setting_is_named_in_plain_words():
    with pytest.raises(UsageError) as caught:
        parse_settings(RunSettings, {"max_age_ms": -2.0, "queue": "many"})
    assert caught.value.message == (
        "queue must be a whole number (got 'many'); max age ms must be more than 0 (got -2.0)"
    )
