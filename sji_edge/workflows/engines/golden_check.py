"""Checks an engine against its golden crops on this machine, before it judges a board."""

from dataclasses import dataclass

import numpy as np

from sji_edge.core.errors import GateError
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Engine, EngineOutput
from sji_edge.parity.comparison import compare
from sji_edge.parity.crops import golden_joints
from sji_edge.parity.gate import gate
from sji_edge.runtime.bundle.bundle import Bundle


@dataclass(frozen=True)
class GoldenReplay:
    """An engine that passed its gate again: crops that were judged, and verdicts that differ from PyTorch's."""

    crops: int
    flips: int


def replay_golden(bundle: Bundle, engine: Engine, batch: int) -> GoldenReplay:
    """Check an opened engine against its golden crops.

    Args:
        bundle: the engine's bundle, with its golden crops and its gate.
        engine: the opened engine.
        batch: crops to judge at once, as many as the loop will.

    Raises:
        GateError: the engine fails its gate, or there are no golden crops.
    """
    golden = golden_joints(bundle)
    if golden.recorded is None or not len(golden.crops):
        raise GateError(
            f"{bundle.folder} has no golden crops, so there is no evidence that the engine decides correctly"
        )
    comparison = compare(
        golden.recorded,
        _answers(engine, golden.crops, batch),
        golden.labels,
        classes=bundle.card.classes,
        good_index=bundle.card.good_index,
        thresholds=bundle.manifest.reference_thresholds,
        candidate_thresholds=bundle.thresholds,
    )
    result = gate(comparison, bundle.parity.gate)
    if not result:
        raise GateError(
            f"{bundle.folder} does not decide like PyTorch on this machine: {'; '.join(result.failures)}",
            hint="build it here with sji-edge build-engine; sji-edge parity shows the comparison",
        )
    return GoldenReplay(comparison.joints, comparison.flips)


def _answers(engine: Engine, crops: Image, batch: int) -> EngineOutput:
    """Judge crops in batches of one size; the last batch is filled up with the first crops."""
    count = len(crops)
    order = np.arange(-(-count // batch) * batch) % count
    answers = [
        engine.infer(np.ascontiguousarray(crops[order[start : start + batch]]))
        for start in range(0, len(order), batch)
    ]
    logits = np.concatenate([answer.logits for answer in answers])[:count]
    novelty = [answer.novelty for answer in answers if answer.novelty is not None]
    return EngineOutput(logits, np.concatenate(novelty)[:count] if novelty else None)
