"""Measures the latency of a single joint: the loop with --low-latency against the bare engine at batch 1.

    python benchmarks/lone_crop.py --engine engines/NAME

Both get one crop every ``--period-ms``, since a crop that follows immediately finds warm caches and running threads.
The loop's latency runs from the capture to the verdict; targets: p50 at most 1.3 times the engine's, p99 at
most twice the p50.
"""

import statistics
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
from loop_rig import PacedSource, Rig, arguments, open_rig

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.preprocess import Image
from sji_edge.inspection.judging.frame_job import Model
from sji_edge.inspection.judging.judge import BoardJudge
from sji_edge.inspection.judging.layout import ImageLayout
from sji_edge.inspection.loop import Inspection, LoopSettings
from sji_edge.inspection.observe.histogram import LatencySummary
from sji_edge.records.write.sqlite import SqliteSink


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--crops", type=int, default=400, help="crops a block")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--period-ms", type=float, default=5.0)
    given = parser.parse_args()
    rig, clock = open_rig(given), SystemClock()
    crops = rig.crops(clock)
    rig.engine.prepare([1])
    ratios, tails = [], []
    for number in range(given.rounds):
        found: dict[str, tuple[float, float]] = {}
        for side in ("engine", "loop") if number % 2 else ("loop", "engine"):
            if side == "engine":
                found[side] = bare(rig, crops, given.crops, given.period_ms / 1e3, clock)
            else:
                summary = through_the_loop(rig, crops, given.crops, given.period_ms / 1e3, clock)
                found[side] = summary["verdict"].p50_ms, summary["verdict"].p99_ms
                recorded = summary["end to end"].p50_ms
        ratios.append(found["loop"][0] / found["engine"][0])
        tails.append(found["loop"][1] / found["loop"][0])
        print(
            f"round {number}: engine p50 {found['engine'][0]:.3f} p99 {found['engine'][1]:.3f} ms, loop p50 "
            f"{found['loop'][0]:.3f} p99 {found['loop'][1]:.3f} ms ({recorded:.3f} on record): {ratios[-1]:.2f}"
        )
    print(
        f"p50 loop / engine: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} "
        f"(target: 1.3); loop's p99 / p50: median {statistics.median(tails):.2f} (target: 2)"
    )
    rig.engine.close()


def bare(rig: Rig, crops: Image, count: int, period_s: float, clock: Clock) -> tuple[float, float]:
    """p50 and p99 in ms of the engine's own calls."""
    taken = []
    for index in range(count):
        clock.sleep(period_s)
        crop = crops[index % len(crops)][None]
        started = clock.monotonic_ns()
        rig.engine.infer(crop)
        taken.append((clock.monotonic_ns() - started) / 1e6)
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def through_the_loop(
    rig: Rig, crops: Image, count: int, period_s: float, clock: Clock
) -> dict[str, LatencySummary]:
    """Latency by stage of the loop, each crop in its own image."""
    card, spec = rig.bundle.card, rig.bundle.preprocess
    model = Model(card.classes, card.good_index, spec, rig.bundle.engine_sha256)
    layout = ImageLayout(spec, rig.bundle.thresholds)
    judge = BoardJudge(rig.engine, model, layout, clock, f"bench{clock.monotonic_ns()}")
    judge.warm_up(alone=True)
    images = [np.ascontiguousarray(crop[:, :, 0] if crop.shape[2] == 1 else crop) for crop in crops]
    with tempfile.TemporaryDirectory() as folder, closing(SqliteSink(Path(folder) / "lone.db")) as database:
        source = PacedSource(images, count, period_s, clock)
        settings = LoopSettings(low_latency=True)
        return Inspection(source, judge, [database], clock, settings).run().latency


if __name__ == "__main__":
    main()
