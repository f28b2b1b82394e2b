import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from sji_edge.core.card import ParityGate
from sji_edge.core.errors import GateError
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.verdict import Thresholds
from sji_edge.parity.comparison import Comparison, compare
from sji_edge.parity.gate import gate

LIMITS = Thresholds(lower=0.3, upper=0.6)
CLASSES = ("bridge", "good", "open")


def _logits(n: int, seed: int, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(n, 3)).astype(np.float32) * 2
    candidate = reference + noise * rng.normal(size=(n, 3)).astype(np.float32)
    return reference, candidate, rng.integers(-1, 3, n)


def _compare(reference, candidate, labels, **changes) -> Comparison:
    settings = {"classes": CLASSES, "good_index": 1, "thresholds": LIMITS}
    outputs = (one if isinstance(one, EngineOutput) else EngineOutput(one) for one in (reference, candidate))
    return compare(*outputs, labels, **{**settings, **changes})


def _verdict(score: float, limits: Thresholds) -> str:
    if score < limits.lower:
        return "PASS"
    return "FAIL" if score >= limits.upper else "REVIEW"


def _naive(logits: np.ndarray, limits: Thresholds) -> tuple[np.ndarray, np.ndarray, list[str]]:
    wide = logits.astype(np.float64)
    p = np.stack([np.exp(row) / np.exp(row).sum() for row in wide])
    score = 1 - p[:, 1]
    return p, score, [_verdict(value, limits) for value in score]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("own", [None, Thresholds(lower=0.45, upper=0.5)])
def test_every_figure_equals_its_definition_written_out(seed: int, own: Thresholds | None) -> None:
    reference, candidate, labels = _logits(200, seed, 0.5)
    found = _compare(reference, candidate, labels, candidate_thresholds=own)
    p, score, said = _naive(reference, LIMITS)
    q, other, now = _naive(candidate, own or LIMITS)
    for difference, gap in [
        (found.logits, np.abs(reference.astype(float) - candidate)),
        (found.probabilities, np.abs(p - q)),
        (found.scores, np.abs(score - other)),
    ]:
        wanted = (gap.max(), gap.mean(), np.quantile(gap, 0.99))
        assert (difference.max, difference.mean, difference.p99) == pytest.approx(wanted, abs=1e-12)
    pairs = list(zip(said, now, strict=True))
    escapes = sum(a != "PASS" and b == "PASS" for a, b in pairs)
    not_pass = sum(a != "PASS" for a in said)
    assert found.agreement == pytest.approx(sum(a == b for a, b in pairs) / 200)
    assert found.flips == sum(a != b for a, b in pairs) > 0
    assert (found.escape_flips, found.escape_flips_of) == (escapes, not_pass)
    upper = stats.binomtest(escapes, not_pass).proportion_ci(0.95, "exact").high
    assert found.escape_flip_upper == pytest.approx(upper, abs=1e-9)
    assert found.false_call_flips == sum(a != "FAIL" and b == "FAIL" for a, b in pairs)
    assert found.top1_agreement == (reference.argmax(1) == candidate.argmax(1)).mean()
    known = labels >= 0
    truth = labels[known] != 1
    before = f1_score(truth, np.array(said)[known] == "FAIL")
    after = f1_score(truth, np.array(now)[known] == "FAIL")
    assert found.f1_change == pytest.approx(after - before)
    assert found.reference_rates["escapes"] == (truth & (np.array(said)[known] == "PASS")).sum()
    assert found.candidate_rates["false_calls"] == (~truth & (np.array(now)[known] == "FAIL")).sum()


def test_the_class_table_adds_up_and_names_the_unlabelled() -> None:
    reference, candidate, labels = _logits(300, 9, 0.5)
    found = _compare(reference, candidate, labels)
    assert [row.name for row in found.classes] == [*CLASSES, "(unlabelled)"]
    assert [row.joints for row in found.classes] == [(labels == index).sum() for index in (0, 1, 2, -1)]
    for figure in ("joints", "flips", "escape_flips", "false_call_flips"):
        assert sum(getattr(row, figure) for row in found.classes) == getattr(found, figure)
    assert max(row.max_score_error for row in found.classes) == found.scores.max


@pytest.mark.parametrize(("seed", "noise"), [(1, 0.5), (2, 0.05), (3, 1.5)])
def test_the_worst_joints_are_escapes_then_other_flips_then_the_greatest_differences(
    seed: int, noise: float
) -> None:
    reference, candidate, labels = _logits(50, seed, noise)
    found = _compare(reference, candidate, labels)
    _, score, said = _naive(reference, LIMITS)
    _, other, now = _naive(candidate, LIMITS)

    def place(index: int) -> tuple[bool, bool, float]:
        flips = said[index] != now[index]
        return (not (flips and now[index] == "PASS"), not flips, -abs(score[index] - other[index]))

    assert [joint.index for joint in found.worst] == sorted(range(50), key=place)[:8]


def test_a_non_finite_logit_is_counted_as_error_and_left_out_of_the_differences() -> None:
    reference, _, labels = _logits(20, 2, 0)
    candidate = reference.copy()
    candidate[3, 0], candidate[7, 1] = np.nan, np.inf
    found = _compare(reference, candidate, labels)
    assert (found.reference_nonfinite, found.candidate_nonfinite) == (0, 2)
    assert found.flips == 2
    assert found.logits.max == found.scores.max == 0
    assert found.top1_agreement == 18 / 20
    nothing = _compare(reference, np.full_like(reference, np.nan), labels)
    assert nothing.logits is nothing.scores is None
    assert nothing.worst == ()


def test_without_labels_there_are_no_rates() -> None:
    reference, candidate, _ = _logits(10, 3, 0.1)
    found = _compare(reference, candidate, np.full(10, -1))
    assert found.labelled == 0
    assert found.reference_rates is found.candidate_rates is found.f1_change is None


def test_a_comparison_survives_json() -> None:
    found = _compare(*_logits(30, 4, 0.5))
    assert Comparison.model_validate(json.loads(found.model_dump_json())) == found


def test_no_evidence_and_mismatched_logits_fail() -> None:
    empty = np.empty((0, 3), np.float32)
    with pytest.raises(GateError, match="no crop to compare"):
        _compare(empty, empty, np.empty(0, np.int64))
    reference, candidate, labels = _logits(10, 5, 0.1)
    for wrong in (candidate[:9], candidate[:, :2]):
        with pytest.raises(GateError, match="both sides must have logits"):
            _compare(reference, wrong, labels)
    with pytest.raises(GateError, match="labels must be between"):
        _compare(reference, candidate, labels + 3)


GUARDED = Thresholds(lower=0.3, upper=0.6, novelty=1.0)


def _outputs(rows):
    """Reference and candidate from rows of (score, novelty, score, novelty)."""
    values = np.array(rows, np.float64)
    sides = []
    for score, novelty in (values[:, :2].T, values[:, 2:].T):
        logits = np.zeros((len(rows), 3), np.float32)
        logits[:, 1] = np.log((1 - score) / score) + np.log(2)
        sides.append(EngineOutput(logits, novelty.astype(np.float32)))
    return sides


def test_a_guard_that_falls_silent_is_a_flip_to_pass():
    rows = [
        (0.1, 0.5, 0.1, 0.6),  # PASS here and there
        (0.1, 1.5, 0.1, 1.4),  # both guards stop it
        (0.1, 1.1, 0.1, 0.9),  # the candidate's guard falls silent
        (0.1, 0.9, 0.1, 1.1),  # only the candidate's guard stops it
        (0.4, 9.0, 0.4, 0.1),  # REVIEW by its score: no matter for the guard
        (0.9, 9.0, 0.9, 0.1),  # FAIL stays FAIL
        (0.4, 0.1, 0.1, 0.1),  # an escape that no guard could have stopped
    ]
    found = _compare(*_outputs(rows), np.full(len(rows), -1), thresholds=GUARDED)
    assert (found.silent_guard_flips, found.escape_flips, found.flips) == (1, 2, 3)
    assert (found.reference_stopped, found.candidate_stopped) == (2, 2)
    assert found.escape_flips_of == 5
    gap = np.abs(np.array(rows)[:, 1] - np.array(rows)[:, 3])
    assert found.novelty.max == pytest.approx(gap.max(), abs=1e-6)
    assert found.novelty.mean == pytest.approx(gap.mean(), abs=1e-6)
    first = found.worst[0]
    assert (first.reference_verdict, first.candidate_verdict) == ("REVIEW", "PASS")
    silent = next(joint for joint in found.worst if joint.index == 2)
    assert (silent.reference_novelty, silent.candidate_novelty) == pytest.approx((1.1, 0.9))
    result = gate(found, ParityGate())
    assert any("2 of 5 verdicts changed to PASS" in failure for failure in result.failures)
    assert any("in 1 of them the guard fell silent" in failure for failure in result.failures)


def test_a_candidate_without_a_guard_passes_what_the_references_guard_stops():
    reference, candidate = _outputs([(0.1, 1.5, 0.1, 0.0), (0.1, 0.5, 0.1, 0.0)])
    found = _compare(
        reference,
        EngineOutput(candidate.logits),
        np.full(2, -1),
        thresholds=GUARDED,
        candidate_thresholds=LIMITS,
    )
    assert (found.silent_guard_flips, found.escape_flips) == (1, 1)
    assert found.novelty is None


def test_a_novelty_that_is_not_finite_is_counted_and_never_passes():
    sides = _outputs([(0.1, 0.5, 0.1, np.nan), (0.9, 0.5, 0.9, 0.5)])
    found = _compare(*sides, np.full(2, -1), thresholds=GUARDED)
    assert (found.candidate_nonfinite, found.escape_flips, found.flips) == (1, 0, 1)


@pytest.mark.parametrize("side", [0, 1])
def test_a_limit_without_a_novelty_cannot_be_compared(side):
    outputs = _outputs([(0.1, 0.5, 0.1, 0.5)] * 3)
    outputs[side] = EngineOutput(outputs[side].logits)
    with pytest.raises(GateError, match="gives no novelty"):
        _compare(*outputs, np.full(3, -1), thresholds=GUARDED)
