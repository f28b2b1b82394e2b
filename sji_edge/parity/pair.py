"""Any two predictors on the same crops, and the gate between them."""

from dataclasses import dataclass

from sji_edge.core.card import ModelCard, ParityGate
from sji_edge.core.errors import UsageError
from sji_edge.core.registry import nearest
from sji_edge.core.verdict import Thresholds
from sji_edge.parity.comparison import Logits, compare
from sji_edge.parity.crops import Joints
from sji_edge.parity.gate import gate, gate_for
from sji_edge.parity.run import ParityReport

PAIR = "reference-candidate"
FINEST_FIRST = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True)
class Side:
    """One of the two: its logits on the crops ``(n, classes)``, and the limits that it is deployed with."""

    logits: Logits
    thresholds: Thresholds
    precision: str


def coarser(one: str, other: str) -> str:
    """Return the precision of two that allows the greater error, whose gate holds between them.

    Raises:
        UsageError: an unknown precision.
    """
    for name in (one, other):
        if name not in FINEST_FIRST:
            raise UsageError(f"unknown precision {name!r}", hint=nearest(name, list(FINEST_FIRST)))
    return max(one, other, key=FINEST_FIRST.index)


def compare_pair(
    reference: Side, candidate: Side, joints: Joints, card: ModelCard, limits: ParityGate | None = None
) -> ParityReport:
    """Hold a candidate against a reference.

    Args:
        reference: what is taken for right.
        candidate: what is judged.
        joints: the crops that both judged.
        card: classes and gates.
        limits: the gate; None takes the card's for the coarser of the two precisions.

    Raises:
        GateError: no crop to compare, or logits that do not belong to these crops.
    """
    limits = limits or gate_for(card, coarser(reference.precision, candidate.precision))
    found = compare(
        reference.logits,
        candidate.logits,
        joints.labels,
        classes=card.classes,
        good_index=card.good_index,
        thresholds=reference.thresholds,
        candidate_thresholds=candidate.thresholds,
    )
    return ParityReport(comparisons={PAIR: found}, gated=PAIR, limits=limits, result=gate(found, limits))
