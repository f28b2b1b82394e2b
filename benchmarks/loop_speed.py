"""Compares the whole loop with the bare engine: joints/s of both, in alternating blocks of one process.

    python benchmarks/loop_speed.py --engine engines/NAME

The loop aligns, cuts, infers, decides and records to SQLite, from decoded frames in memory; the bare engine
gets ready-made batches of one frame's joints, with the same threads. Neither time includes warm-up.
"""

import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from loop_rig import MemorySource, Rig, arguments, open_rig

from sji_edge.core.clock import SystemClock
from sji_edge.inspection.loop import Inspection, LoopSettings, OnWork
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.records.write.sqlite import SqliteSink

SETTLE_S = 0.1
TARGET = 0.900


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--frames", type=int, default=200, help="frames a block")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--low-latency", action="store_true", help="the loop's stages in one thread")
    given = parser.parse_args()
    settings = LoopSettings(low_latency=given.low_latency)
    rig = open_rig(given)
    crops = rig.crops(SystemClock())
    rates: dict[str, list[float]] = {"engine": [], "loop": []}
    cpu: dict[str, list[float]] = {"engine": [], "loop": []}
    summaries: list[RunSummary] = []
    for number in range(given.rounds):
        # A B, then B A: any drift affects both sides.
        for side in ("engine", "loop") if number % 2 else ("loop", "engine"):
            time.sleep(SETTLE_S)
            if side == "engine":
                rate, used_s = bare_rate(rig, crops, given.frames)
            else:
                summary, used_s = loop_run(rig, given.frames, settings)
                summaries.append(summary)
                rate = summary.joints_per_s
            rates[side].append(rate)
            cpu[side].append(used_s)
        one, two = rates["engine"][-1], rates["loop"][-1]
        print(f"round {number}: engine {one:.0f}, loop {two:.0f} joints/s: {two / one:.3f}")
    print_ratio(
        "loop / engine by wall time",
        [two / one for one, two in zip(rates["engine"], rates["loop"], strict=True)],
    )
    # A busy machine slows both sides, but CPU time does not include the work of others.
    print_ratio(
        "loop / engine by CPU time", [one / two for one, two in zip(cpu["engine"], cpu["loop"], strict=True)]
    )
    print_stages(summaries)
    rig.engine.close()


def print_ratio(what: str, ratios: list[float], target: float = TARGET) -> None:
    """Print the median of the rounds' ratios, and the range of their middle half."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{what}: median {middle:.3f}, quartiles {low:.3f} and {high:.3f}, "
        f"{len(ratios)} rounds (target: {target:.3f})"
    )


def bare_rate(rig: Rig, crops, calls: int) -> tuple[float, float]:
    """Joints per second of the engine alone, and its CPU seconds."""
    rig.engine.infer(crops)
    started, begun = time.perf_counter(), time.process_time()
    for _ in range(calls):
        rig.engine.infer(crops)
    return calls * len(crops) / (time.perf_counter() - started), time.process_time() - begun


def loop_run(
    rig: Rig, frames: int, settings: LoopSettings, on_work: OnWork | None = None
) -> tuple[RunSummary, float]:
    """One run of the whole loop, from requesting the first frame to recording the last, and its CPU seconds."""
    clock = SystemClock()
    judge = rig.judge(clock, f"bench{clock.monotonic_ns()}")
    with tempfile.TemporaryDirectory() as folder, closing(SqliteSink(Path(folder) / "speed.db")) as database:
        source = MemorySource(rig.frames, frames, clock)
        begun = time.process_time()
        summary = Inspection(source, judge, [database], clock, settings, on_work=on_work).run()
        used_s = time.process_time() - begun
    if summary.judged != frames:
        raise SystemExit(f"only {summary.judged} of {frames} frames were judged: {summary.errors}")
    return summary, used_s


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
