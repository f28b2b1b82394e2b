"""Measures what shadow parity costs the loop: with ``--shadow`` against without, in alternating blocks of one process.

    python benchmarks/shadow_cost.py --engine engines/NAME

Target: the loop is at most 2 % slower at one crop in 500.
"""

import statistics
import tempfile
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
from loop_rig import Rig, arguments, open_rig
from loop_speed import loop_run, print_ratio

from sji_edge.inspection.judging.frame_job import Model
from sji_edge.inspection.judging.layout import RecipeLayout
from sji_edge.inspection.loop import LoopSettings
from sji_edge.inspection.observe.shadow import Shadow
from sji_edge.runtime.bundle.bundle import open_reference

TARGET = 0.98


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--share", type=Fraction, default=Fraction(1, 500))
    parser.add_argument("--frames", type=int, default=200, help="frames a block")
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    rig = open_rig(given)
    wall, cpu = [], []
    loop_run(rig, given.frames, LoopSettings())
    for number in range(given.rounds):
        found: dict[bool, tuple[float, float]] = {}
        for shadowed in (False, True) if number % 2 else (True, False):
            found[shadowed] = measured(rig, given.frames, given.share if shadowed else None)
        wall.append(found[True][0] / found[False][0])
        cpu.append(found[False][1] / found[True][1])
        print(
            f"round {number}: {found[False][0]:.0f} without, {found[True][0]:.0f} joints/s with: {wall[-1]:.3f}"
        )
    print_ratio("with / without by wall time", wall, TARGET)
    print_ratio("with / without by CPU time", cpu, TARGET)
    draws = np.random.default_rng(0).choice(wall, (10_000, len(wall)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    print(f"slower by {1 - statistics.median(wall):.1%} (95 % between {1 - high:.1%} and {1 - low:.1%})")
    rig.engine.close()


def measured(rig: Rig, frames: int, share: Fraction | None) -> tuple[float, float]:
    """Joints per second, and CPU seconds including the shadow's."""
    if share is None:
        summary, used_s = loop_run(rig, frames, LoopSettings())
        return summary.joints_per_s, used_s
    card, spec = rig.bundle.card, rig.bundle.preprocess
    model = Model(card.classes, card.good_index, spec, rig.bundle.engine_sha256)
    layout = RecipeLayout(rig.recipe, spec, rig.bundle.thresholds)
    with tempfile.TemporaryDirectory() as folder, closing(open_reference(rig.bundle, threads=1)) as reference:
        shadow = Shadow(reference, model, layout, layout.limits, share, Path(folder) / "shadow.jsonl")
        try:
            summary, used_s = loop_run(rig, frames, LoopSettings(), shadow.take)
        finally:
            report = shadow.close()
    if not report.replayed:
        raise SystemExit(f"the shadow replayed nothing: {report}")
    return summary.joints_per_s, used_s


if __name__ == "__main__":
    main()
