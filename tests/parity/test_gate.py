import numpy as np
import pytest
from support.tiny_bundle import card

from sji_edge.core.card import DEFAULT_GATES, ParityGate
from sji_edge.core.errors import UsageError
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import Thresholds
from sji_edge.parity.comparison import Comparison, compare
from sji_edge.parity.gate import gate, gate_for

LIMITS = Thresholds(lower=0.5, upper=0.5)


def _of_scores(reference: list[float], candidate: list[float], labels: list[int] | None = None) -> Comparison:
    def output(scores: list[float]) -> EngineOutput:
        return EngineOutput(np.array([[0.0, np.log(score / (1 - score))] for score in scores], np.float32))

    chosen = np.array(labels or [-1] * len(reference), np.int64)
    return compare(
        output(reference), output(candidate), chosen, classes=("ok", "bad"), good_index=0, thresholds=LIMITS
    )


def test_equal_predictors_pass() -> None:
    result = gate(_of_scores([0.1, 0.9], [0.1, 0.9], [0, 1]), DEFAULT_GATES["fp32"])
    assert result
    assert result.failures == ()


def test_one_flip_towards_pass_fails_however_many_agree() -> None:
    found = _of_scores([0.51] + [0.9] * 999, [0.49] + [0.9] * 999)
    result = gate(found, ParityGate())
    assert not result
    assert len(result.failures) == 1
    assert result.failures[0] == "1 of 1000 verdicts changed to PASS (limit 0)"
    assert gate(found, ParityGate(max_escape_flips=1))


def test_a_flip_towards_fail_counts_against_agreement_only() -> None:
    found = _of_scores([0.49, 0.9] + [0.1] * 98, [0.51, 0.9] + [0.1] * 98)
    assert found.escape_flips == 0
    result = gate(found, ParityGate(min_agreement=0.995))
    assert len(result.failures) == 1
    assert "agreement 99.00%" in result.failures[0]
    assert gate(found, ParityGate(min_agreement=0.99))


def test_f1_may_not_change_in_either_direction() -> None:
    better = _of_scores([0.49, 0.9, 0.1], [0.51, 0.9, 0.1], [1, 1, 0])
    result = gate(better, ParityGate(min_agreement=0.0))
    assert len(result.failures) == 1
    assert "F1 (defect) changed from 0.6667 to 1.0000" in result.failures[0]


def test_f1_on_one_side_only_fails() -> None:
    found = _of_scores([0.1, 0.1], [0.1, 0.9], [0, 0])
    assert any(
        "undefined on one side" in text for text in gate(found, ParityGate(min_agreement=0.0)).failures
    )


def test_a_score_error_above_its_bound_fails() -> None:
    found = _of_scores([0.1, 0.9], [0.1, 0.902])
    assert "score error 0.002" in gate(found, ParityGate(max_score_error=1e-3)).failures[0]
    assert gate(found, ParityGate(max_score_error=3e-3))
    assert gate(found, ParityGate())


def test_a_reference_that_passes_every_joint_cannot_show_that_no_escape_is_added() -> None:
    lax = ParityGate(max_escape_flips=9, min_agreement=0.0, max_f1_change=1.0)
    for labels in (None, [0, 0], [0, 1]):
        found = _of_scores([0.1, 0.2], [0.1, 0.2], labels)
        assert found.agreement == 1.0
        [failure] = gate(found, lax).failures
        assert "gives PASS to every joint (2 of 2)" in failure
        assert "compare on joints with defects" in failure
    assert gate(_of_scores([0.1, 0.9], [0.1, 0.9]), lax)


def test_non_finite_logits_fail_even_the_laxest_gate() -> None:
    lax = ParityGate(max_escape_flips=9, min_agreement=0.0, max_f1_change=1.0)
    assert not gate(_of_scores([0.1, 0.9], [0.1, float("nan")]), lax)
    assert not gate(_of_scores([0.1, float("nan")], [0.1, 0.9]), lax)


def test_the_cards_gate_is_used_before_the_default() -> None:
    own = ParityGate(min_agreement=0.9)
    assert gate_for(card(gates={"int8": own}), "int8") is own
    assert gate_for(card(gates={}), "bf16") == DEFAULT_GATES["bf16"]
    with pytest.raises(UsageError, match="no parity gate"):
        gate_for(card(), "int7")
