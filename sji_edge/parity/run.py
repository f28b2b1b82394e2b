"""Compares PyTorch's recorded logits, the reference graph and the engine on the same crops."""

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.card import ModelCard, ParityGate
from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.errors import GateError
from sji_edge.core.files import sha256_of
from sji_edge.core.frozen import FrozenModel
from sji_edge.core.protocols import Engine, EngineOutput
from sji_edge.core.verdict import Thresholds
from sji_edge.parity.comparison import NO_CROPS, Comparison, compare
from sji_edge.parity.crops import Joints
from sji_edge.parity.gate import GateResult, gate, gate_for
from sji_edge.runtime.bundle.bundle import Bundle, open_engine, open_reference
from sji_edge.runtime.bundle.manifest import ParityRecord

PYTORCH_ENGINE = "pytorch-engine"
REFERENCE_ENGINE = "reference-engine"


class ParityReport(FrozenModel):
    """Every comparison, and the gate's answer; true when the gate passed.

    Attributes:
        comparisons: by name, as ``pytorch-engine``.
        gated: name of the comparison that the gate judged: with PyTorch where its logits are known, else with the
            reference graph.
        limits: the gate's limits.
        result: the gate's answer.
    """

    comparisons: dict[str, Comparison]
    gated: str
    limits: ParityGate
    result: GateResult

    @property
    def comparison(self) -> Comparison:
        """The comparison that the gate judged."""
        return self.comparisons[self.gated]

    def __bool__(self) -> bool:
        return bool(self.result)


def predict(engine: Engine, crops: NDArray[np.uint8]) -> EngineOutput:
    """Judge any number of crops, in batches of the size that the engine takes.

    Args:
        engine: the engine.
        crops: uint8 ``(n, h, w, c)``.

    Returns:
        The answer for all crops, as the engine's own for one batch.
    """
    logits = np.empty((len(crops), engine.spec.classes), np.float32)
    novelty = np.empty(len(crops), np.float32) if engine.spec.guarded else None
    for start in range(0, len(crops), engine.spec.max_batch):
        stop = start + engine.spec.max_batch
        output = engine.infer(crops[start:stop])
        logits[start:stop] = output.logits
        if novelty is not None:
            novelty[start:stop] = output.novelty
    return EngineOutput(logits, novelty)


def check_parity(
    engine: Engine,
    reference: Engine,
    joints: Joints,
    card: ModelCard,
    *,
    thresholds: Thresholds,
    reference_thresholds: Thresholds,
    limits: ParityGate | None = None,
) -> ParityReport:
    """Compare an engine with its reference graph, and both with PyTorch where its logits are known.

    Args:
        engine: the candidate.
        reference: the FP32 graph.
        joints: the crops to compare on.
        card: classes and gates.
        thresholds: the engine's limits.
        reference_thresholds: limits of PyTorch and of the reference graph.
        limits: the gate; None takes the card's gate for the engine's precision.

    Raises:
        GateError: there is no crop to compare.
    """
    if len(joints.crops) == 0:
        raise GateError(NO_CROPS, hint="choose a split that has crops")
    limits = limits or gate_for(card, engine.spec.precision)
    outputs = {
        "engine": predict(engine, joints.crops),
        "reference": predict(reference, joints.crops),
    }
    pairs = [("reference", "engine")]
    if joints.recorded is not None:
        outputs["pytorch"] = joints.recorded
        pairs = [("pytorch", "reference"), ("pytorch", "engine"), *pairs]
    comparisons = {
        f"{one}-{other}": compare(
            outputs[one],
            outputs[other],
            joints.labels,
            classes=card.classes,
            good_index=card.good_index,
            thresholds=reference_thresholds,
            candidate_thresholds=thresholds if other == "engine" else None,
        )
        for one, other in pairs
    }
    gated = PYTORCH_ENGINE if joints.pytorch is not None else REFERENCE_ENGINE
    return ParityReport(
        comparisons=comparisons, gated=gated, limits=limits, result=gate(comparisons[gated], limits)
    )


def unproven(report: ParityReport, reason: str) -> ParityReport:
    """Turn the report of an engine's graph into that of the engine, which could not run here; it fails.

    Args:
        report: ``check_parity`` of the graph that the engine was built from.
        reason: why the engine itself could not be judged.
    """
    renamed = {name.replace("engine", "graph"): item for name, item in report.comparisons.items()}
    return report.model_copy(
        update={
            "comparisons": renamed,
            "gated": report.gated.replace("engine", "graph"),
            "result": GateResult(failures=(*report.result.failures, reason)),
        }
    )


def record_of(
    report: ParityReport, *, engine: Path, reference: Path, golden: Path, clock: Clock | None = None
) -> ParityRecord:
    """Bind a report by hashes to the files that it was made from, for ``write_bundle``."""
    judged = report.comparison
    return ParityRecord(
        created_utc=(clock or SystemClock()).utc(),
        engine_sha256=sha256_of(engine),
        reference_sha256=sha256_of(reference),
        golden_sha256=sha256_of(golden),
        thresholds=judged.candidate_thresholds,
        reference_thresholds=judged.thresholds,
        gate=report.limits,
        passed=bool(report.result),
        failures=report.result.failures,
        joints=judged.joints,
        gated=report.gated,
        comparisons={name: item.model_dump(mode="json") for name, item in report.comparisons.items()},
    )


def run_parity(bundle: Bundle, joints: Joints, threads: int = 0) -> ParityReport:
    """Compare a bundle's engine on this machine; see ``check_parity``.

    Args:
        bundle: an open bundle, released or not.
        joints: ``golden_joints(bundle)``, or crops of a dataset.
        threads: CPU threads for each engine; 0 lets the backend choose.

    Raises:
        BundleError: the engine or its reference graph cannot be opened.
        GateError: there is no crop to compare.
    """
    with (
        closing(open_engine(bundle, threads)) as engine,
        closing(open_reference(bundle, threads)) as reference,
    ):
        return check_parity(
            engine,
            reference,
            joints,
            bundle.card,
            thresholds=bundle.thresholds,
            reference_thresholds=bundle.manifest.reference_thresholds,
            limits=bundle.parity.gate,
        )
