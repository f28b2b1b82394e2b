"""Compares any two predictors on the same crops, and applies the gate."""

from dataclasses import dataclass

from sji_edge.core.card import ModelCard, ParityGate
from sji_edge.core.errors import UsageError
from sji_edge.core.protocols import EngineOutput
from sji_edge.core.registry import nearest
from sji_edge.core.verdict import Thresholds
from sji_edge.parity.comparison import compare
from sji_edge.parity.crops import Joints
from sji_edge.parity.gate import gate, gate_for
from sji_edge.parity.run import ParityReport

PAIR = "reference-candidate"
FINEST_FIRST = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True)
class Side:
    """One of the two predictors.

    Attributes:
        output: its answers.
        thresholds: the limits that it is deployed with.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
    """

    output: EngineOutput
    thresholds: Thresholds
    precision: str


def coarser(one: str, other: str) -> str:
    """Return the coarser of two precisions; its gate applies between the two.

    Raises:
        UsageError: a precision is unknown.
    """
    for name in (one, other):
        if name not in FINEST_FIRST:
            raise UsageError(f"unknown precision {name!r}", hint=nearest(name, list(FINEST_FIRST)))
    return max(one, other, key=FINEST_FIRST.index)


def compare_pair(
    reference: Side, candidate: Side, joints: Joints, card: ModelCard, limits: ParityGate | None = None
) -> ParityReport:
    """Compare a candidate with a reference, and apply the gate.

    Args:
        reference: taken as correct.
        candidate: the one to judge.
        joints: the crops that both answered.
        card: classes and gates.
        limits: the gate; None takes the card's gate for the coarser precision.

    Raises:
        GateError: there is no crop to compare, or the logits do not belong to these crops.
    """
    limits = limits or gate_for(card, coarser(reference.precision, candidate.precision))
    found = compare(
        reference.output,
        candidate.output,
        joints.labels,
        classes=card.classes,
        good_index=card.good_index,
        thresholds=reference.thresholds,
        candidate_thresholds=candidate.thresholds,
    )
    return ParityReport(comparisons={PAIR: found}, gated=PAIR, limits=limits, result=gate(found, limits))
