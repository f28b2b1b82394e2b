from fractions import Fraction

import pytest
from pydantic import ValidationError

from sji_edge.inspection.settings import RunSettings


def test_policy_follows_the_source_unless_it_is_given():
    assert RunSettings().loop(runs_free=True).policy == "latest"
    assert RunSettings().loop(runs_free=False).policy == "every"
    assert RunSettings(policy="every").loop(runs_free=True).policy == "every"
    assert RunSettings().loop(runs_free=True).queue == 1
    assert RunSettings(queue=7).loop(runs_free=True).queue == 7


def test_limits_in_milliseconds_become_nanoseconds():
    limits = RunSettings(max_age_ms=1.5, takt_ms=2000).deadlines(stored=False)
    assert (limits.max_age_ns, limits.takt_ns) == (1_500_000, 2_000_000_000)
    assert RunSettings().deadlines(stored=False).takt_ns is None


@pytest.mark.parametrize("text", ["1/500", "0.002"])
def test_share_is_a_fraction_or_a_number(text):
    assert RunSettings(shadow=text).shadow == Fraction(1, 500)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shadow": "1/0"},
        {"shadow": "many"},
        {"shadow": "0"},
        {"shadow": "3/2"},
        {"policy": "some"},
        {"queue": 0},
        {"takt_ms": -1.0},
        {"max_age_ms": float("nan")},
    ],
)
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        RunSettings(**wrong)
