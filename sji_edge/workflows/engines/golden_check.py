"""``--replay-golden``: the engine proved once more, here and now, before it judges a board."""

import numpy as np
from numpy.typing import NDArray

from sji_edge.core.errors import GateError
from sji_edge.core.preprocess import Image
from sji_edge.core.protocols import Engine
from sji_edge.parity.comparison import compare
from sji_edge.parity.crops import golden_joints
from sji_edge.parity.gate import gate
from sji_edge.runtime.bundle.bundle import Bundle


def replay_golden(bundle: Bundle, engine: Engine, batch: int) -> str:
    """Prove an opened engine against its golden crops, in batches of the size that the loop will use.

    Returns:
        What was found, in a line.

    Raises:
        GateError: the bundle's gate does not pass.
    """
    golden = golden_joints(bundle)
    if golden.pytorch is None or not len(golden.crops):
        raise GateError(f"{bundle.folder} has no golden crops: no evidence is a failure")
    comparison = compare(
        golden.pytorch,
        _logits(engine, golden.crops, batch),
        golden.labels,
        classes=bundle.card.classes,
        good_index=bundle.card.good_index,
        thresholds=bundle.manifest.reference_thresholds,
        candidate_thresholds=bundle.thresholds,
    )
    result = gate(comparison, bundle.parity.gate)
    if not result:
        raise GateError(
            f"{bundle.folder} does not decide as PyTorch does on this machine: {'; '.join(result.failures)}",
            hint="build it here with sji-edge build-engine; sji-edge parity shows the comparison",
        )
    return f"golden crops replayed: {comparison.flips} flips in {comparison.joints}, the gate passed"


def _logits(engine: Engine, crops: Image, batch: int) -> NDArray[np.float32]:
    """Judge crops in batches of one size; the last is filled up from the first crops."""
    count = len(crops)
    order = np.arange(-(-count // batch) * batch) % count
    answers = [
        engine.infer(np.ascontiguousarray(crops[order[start : start + batch]]))
        for start in range(0, len(order), batch)
    ]
    return np.concatenate(answers)[:count]
