"""The whole loop against the bare engine: joints/s of both, in alternating blocks of one process.

    python benchmarks/loop_speed.py --engine engines/NAME

The loop aligns, cuts, infers, decides and records to SQLite, from decoded frames in memory; the bare engine
gets ready-made batches of one frame's joints, with the same threads. The wanted ratio is 0.90.
"""

import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from loop_rig import MemorySource, Rig, arguments, open_rig

from sji_edge.core.clock import SystemClock
from sji_edge.inspection.loop import Inspection, LoopSettings
from sji_edge.inspection.tally import RunSummary
from sji_edge.sinks.sqlite import SqliteSink

SETTLE_S = 0.1


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--frames", type=int, default=60, help="frames a block")
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args()
    rig = open_rig(given)
    clock = SystemClock()
    crops = rig.crops(clock)
    ratios: list[float] = []
    summaries: list[RunSummary] = []
    for number in range(given.rounds):
        pair = {}
        # A B, then B A: whatever drifts falls on both sides.
        for side in ("engine", "loop") if number % 2 else ("loop", "engine"):
            time.sleep(SETTLE_S)
            if side == "engine":
                pair[side] = bare_rate(rig, crops, given.frames)
            else:
                summaries.append(loop_run(rig, given.frames))
                pair[side] = summaries[-1].joints_per_s
        ratios.append(pair["loop"] / pair["engine"])
        print(
            f"round {number}: engine {pair['engine']:.0f}, loop {pair['loop']:.0f} joints/s: {ratios[-1]:.3f}"
        )
    print(
        f"loop / engine: median {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f} "
        f"over {len(ratios)} rounds (wanted: 0.900)"
    )
    print_stages(summaries)
    rig.engine.close()


def bare_rate(rig: Rig, crops, calls: int) -> float:
    """Joints a second of the engine alone."""
    rig.engine.infer(crops)
    started = time.perf_counter()
    for _ in range(calls):
        rig.engine.infer(crops)
    return calls * len(crops) / (time.perf_counter() - started)


def loop_run(rig: Rig, frames: int) -> RunSummary:
    """One run of the whole loop, from the first frame asked for to the last on record."""
    clock = SystemClock()
    judge = rig.judge(clock, f"bench{clock.monotonic_ns()}")
    with tempfile.TemporaryDirectory() as folder, closing(SqliteSink(Path(folder) / "speed.db")) as database:
        source = MemorySource(rig.frames, frames, clock)
        summary = Inspection(source, judge, [database], clock, LoopSettings()).run()
    if summary.judged != frames:
        raise SystemExit(f"only {summary.judged} of {frames} frames were judged: {summary.errors}")
    return summary


def print_stages(summaries: list[RunSummary]) -> None:
    """Median over the runs of each stage's p50, as wall time while all stages share the cores."""
    print(f"{'stage':>12} {'p50 ms':>8} {'p99 ms':>8}   (a frame, wall time, all stages sharing the cores)")
    for stage in summaries[0].latency:
        p50, p99 = (
            statistics.median(getattr(summary.latency[stage], name) for summary in summaries)
            for name in ("p50_ms", "p99_ms")
        )
        print(f"{stage:>12} {p50:8.2f} {p99:8.2f}")


if __name__ == "__main__":
    main()
