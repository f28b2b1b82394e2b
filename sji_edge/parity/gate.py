"""The parity gate: decides from a comparison whether an engine may be released."""

from collections.abc import Iterator

from sji_edge.core.card import DEFAULT_GATES, ModelCard, ParityGate
from sji_edge.core.errors import UsageError
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.registry import nearest
from sji_edge.core.text import amount
from sji_edge.parity.comparison import Comparison


class GateResult(FrozenModel):
    """The gate's answer: true when it passed. ``failures`` lists each limit that was broken, as a sentence."""

    failures: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.failures


def gate(comparison: Comparison, limits: ParityGate) -> GateResult:
    """Check a comparison against the limits of ``core.card.ParityGate``.

    No evidence fails: a comparison in which the reference gives PASS to every joint has no verdict that could
    change to PASS, so it cannot show that the candidate adds no escape.
    """
    return GateResult(failures=tuple(_failures(comparison, limits)))


def gate_for(card: ModelCard, precision: str) -> ParityGate:
    """Return the card's gate for a precision, else the default one; raises ``UsageError`` if there is neither."""
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
    elif comparison.escape_flips_of == 0:
        yield (
            f"the reference gives PASS to every joint ({comparison.joints} of {comparison.joints}), so "
            "no verdict can change to PASS and the comparison cannot rule out new escapes; compare on "
            "joints with defects that the reference catches"
        )
    for side, count in (
        ("the reference", comparison.reference_nonfinite),
        ("the engine", comparison.candidate_nonfinite),
    ):
        if count:
            yield f"{side} returned non-finite logits or novelty for {amount(count, 'joint')}"
    if comparison.escape_flips > limits.max_escape_flips:
        yield (
            f"{comparison.escape_flips} of {amount(comparison.escape_flips_of, 'verdict')} changed to PASS "
            f"(limit {limits.max_escape_flips})" + _silent(comparison.silent_guard_flips)
        )
    if comparison.agreement < limits.min_agreement:
        yield (
            f"{comparison.flips} of {amount(comparison.joints, 'verdict')} differ: agreement "
            f"{comparison.agreement:.2%}, must be at least {limits.min_agreement:.2%}"
        )
    yield from _f1_failures(comparison, limits)
    if limits.max_score_error is not None:
        if comparison.scores is None:
            yield "no score is finite on both sides"
        elif comparison.scores.max > limits.max_score_error:
            yield f"largest score error {comparison.scores.max:.2g} (limit {limits.max_score_error:g})"


def _silent(flips: int) -> str:
    return f"; in {flips} of them the guard fell silent" if flips else ""


def _f1_failures(comparison: Comparison, limits: ParityGate) -> Iterator[str]:
    if comparison.reference_rates is None or comparison.candidate_rates is None:
        return
    before, after = comparison.reference_rates["f1"], comparison.candidate_rates["f1"]
    if (before is None) != (after is None):
        yield (
            "F1 (defect) is undefined on one side: that side never gives FAIL, and there is no defect among the labels"
        )
    elif comparison.f1_change is not None and abs(comparison.f1_change) > limits.max_f1_change:
        yield (
            f"F1 (defect) changed from {before:.4f} to {after:.4f}, by {abs(comparison.f1_change):.4f} "
            f"(limit {limits.max_f1_change:g})"
        )
