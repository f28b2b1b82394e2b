import pytest

from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.outputs.pool.keep_rules import KeepRules
from sji_edge.pool.schema import BY_CHANCE, KeptBecause

CALLED = JointRecord("J1", Verdict.FAIL, 0.9, 0.4, 0.6, novelty=0.1)
PASSED = JointRecord("J2", Verdict.PASS, 0.01, 0.4, 0.6, novelty=2.0)


def reasons(words, joint, frames=2000):
    rules = KeepRules.parse(words)
    return [rules.reason(joint, frame, f"{frame:064x}") for frame in range(frames)]


def test_a_random_share_holds_called_joints_as_often_as_others():
    words = ["called", "uncertain", "random:0.1"]
    called, passed = reasons(words, CALLED), reasons(words, PASSED)
    assert called.count(KeptBecause.RANDOM) / 2000 == pytest.approx(0.1, abs=0.03)
    assert passed.count(KeptBecause.RANDOM) / 2000 == pytest.approx(0.1, abs=0.03)
    assert called.count(KeptBecause.CALLED) == 2000 - called.count(KeptBecause.RANDOM)


@pytest.mark.parametrize("word", ["all", "nth:1", "random:1"])
def test_a_reason_that_no_engine_gave_comes_first(word):
    (reason,) = set(reasons([word, "called", "novel", "uncertain"], CALLED, frames=3))
    assert reason in BY_CHANCE


def test_a_figure_after_the_colon_sets_the_limit():
    assert reasons(["novel:1.5"], PASSED, 1) == [KeptBecause.NOVEL]
    assert reasons(["novel:2.5"], PASSED, 1) == [None]
    assert reasons(["nth:3"], PASSED, 4) == [KeptBecause.NTH, None, None, KeptBecause.NTH]
