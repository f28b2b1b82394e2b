"""Compares the whole loop with two engines, such as a student's and its teacher's: joints/s, in alternating runs.

    python benchmarks/two_loops.py --engine engines/STUDENT --against engines/TEACHER

Both loops align, cut, infer, decide and record to SQLite, from the same decoded frames in memory. The bare engines run
alternately on ready-made batches of one frame's joints, too. No time includes warm-up.
"""

import argparse
import time
from pathlib import Path

from loop_rig import arguments, open_rig
from loop_speed import SETTLE_S, bare_rate, loop_run, print_ratio

from sji_edge.core.clock import SystemClock
from sji_edge.inspection.loop import LoopSettings


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--against", type=Path, required=True, help="bundle to compare with")
    parser.add_argument("--frames", type=int, default=100, help="frames a block")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--target", type=float, default=4.0, help="least ratio of the loops")
    given = parser.parse_args()
    second = argparse.Namespace(**{**vars(given), "engine": given.against})
    rigs = {"engine": open_rig(given), "against": open_rig(second)}
    crops = rigs["engine"].crops(SystemClock())
    loops: dict[str, list[float]] = {side: [] for side in rigs}
    bare: dict[str, list[float]] = {side: [] for side in rigs}
    for number in range(given.rounds):
        # A B, then B A: any drift affects both sides.
        for side in sorted(rigs, reverse=bool(number % 2)):
            time.sleep(SETTLE_S)
            bare[side].append(bare_rate(rigs[side], crops, given.frames)[0])
            loops[side].append(loop_run(rigs[side], given.frames, LoopSettings())[0].joints_per_s)
        print(
            f"round {number}: "
            + "; ".join(
                f"{side}: loop {loops[side][-1]:.0f}, bare {bare[side][-1]:.0f} joints/s" for side in rigs
            ),
            flush=True,
        )
    for what, rates, target in (("whole loops", loops, given.target), ("bare engines", bare, given.target)):
        print_ratio(
            what,
            [one / two for one, two in zip(rates["engine"], rates["against"], strict=True)],
            target,
        )
    for rig in rigs.values():
        rig.engine.close()


if __name__ == "__main__":
    main()
