"""The gate: what a comparison must show before an engine is released."""

from collections.abc import Iterator

from sji_edge.core.card import DEFAULT_GATES, ModelCard, ParityGate
from sji_edge.core.errors import UsageError
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.registry import nearest
from sji_edge.parity.comparison import Comparison


class GateResult(FrozenModel):
    """The gate's answer; true when it passed. ``failures`` says in words what did not hold."""

    failures: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.failures


def gate(comparison: Comparison, limits: ParityGate) -> GateResult:
    """Judge a comparison; see ``core.card.ParityGate`` for the conditions."""
    return GateResult(failures=tuple(_failures(comparison, limits)))


def gate_for(card: ModelCard, precision: str) -> ParityGate:
    """Return the card's gate for a precision, or the default one; raises ``UsageError`` without either."""
    if precision in card.gates:
        return card.gates[precision]
    if precision in DEFAULT_GATES:
        return DEFAULT_GATES[precision]
    raise UsageError(
        f"no parity gate for precision {precision!r}", hint=nearest(precision, list(DEFAULT_GATES))
    )


def _failures(comparison: Comparison, limits: ParityGate) -> Iterator[str]:
    if comparison.joints == 0:
        yield "no joint was compared"
    if comparison.reference_nonfinite:
        yield f"the reference gave {comparison.reference_nonfinite} joints logits that are not finite"
    if comparison.candidate_nonfinite:
        yield f"the engine gave {comparison.candidate_nonfinite} joints logits that are not finite"
    if comparison.escape_flips > limits.max_escape_flips:
        yield (
            f"{comparison.escape_flips} of {comparison.escape_flips_of} verdicts become PASS; "
            f"at most {limits.max_escape_flips} may"
        )
    if comparison.agreement < limits.min_agreement:
        yield (
            f"{comparison.flips} of {comparison.joints} verdicts differ: agreement "
            f"{comparison.agreement:.2%}, at least {limits.min_agreement:.2%} wanted"
        )
    yield from _f1_failures(comparison, limits)
    if limits.max_score_error is not None:
        greatest = comparison.scores.max if comparison.scores else None
        if greatest is None or greatest > limits.max_score_error:
            found = "no score is finite" if greatest is None else f"a score is off by {greatest:.2g}"
            yield f"{found}; at most {limits.max_score_error:g} may be"


def _f1_failures(comparison: Comparison, limits: ParityGate) -> Iterator[str]:
    if comparison.reference_rates is None or comparison.candidate_rates is None:
        return
    before, after = comparison.reference_rates["f1"], comparison.candidate_rates["f1"]
    if (before is None) != (after is None):
        yield "F1 (defect) is defined on one side only: one never says FAIL and the labels hold no defect"
    elif comparison.f1_change is not None and abs(comparison.f1_change) > limits.max_f1_change:
        yield (
            f"F1 (defect) goes from {before:.4f} to {after:.4f}: "
            f"a change of {abs(comparison.f1_change):.4f}, at most {limits.max_f1_change:g} wanted"
        )
