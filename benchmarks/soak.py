"""Checks in a long run at a steady load that memory does not grow and every frame is accounted for.

    python benchmarks/soak.py --engine engines/NAME --minutes 30 --load 0.8

The load is a share of the rate that the loop reaches at its fastest, measured first. Targets: resident memory grows
by less than 1 MB in 10 minutes once it is warm, and captured = judged + dropped by cause.
"""

import json
import os
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
from loop_rig import MemorySource, PacedSource, Rig, arguments, open_rig

from sji_edge.core.clock import Clock, SystemClock
from sji_edge.core.protocols import FrameSource
from sji_edge.inspection.loop import Inspection, LoopSettings
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.records import SINKS

PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY_S = 5.0
WARM_SHARE = 0.2
"""The share of the run before memory is judged."""


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--load", type=float, default=0.8)
    given = parser.parse_args()
    rig, clock = open_rig(given), SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        fastest = run(rig, MemorySource(rig.frames, 60, clock), clock, Path(folder) / "fast", "every")
        rate = fastest.judged / fastest.wall_s
        frames = int(given.minutes * 60 * rate * given.load)
        print(f"fastest {rate:.1f} frames/s; {frames} frames at {rate * given.load:.1f} frames/s")
        source = PacedSource(rig.frames, frames, 1 / (rate * given.load), clock)
        with Memory(clock) as memory:
            summary = run(rig, source, clock, Path(folder) / "soak", "latest")
    rig.engine.close()
    report(summary, memory)


def run(rig: Rig, source: FrameSource, clock: Clock, folder: Path, policy: str) -> RunSummary:
    """One run of the loop into SQLite and JSONL."""
    folder.mkdir()
    judge = rig.judge(clock, f"soak{clock.monotonic_ns()}")
    with (
        closing(SINKS.get("sqlite")(folder / "soak.db")) as database,
        closing(SINKS.get("jsonl")(folder / "soak.jsonl")) as lines,
    ):
        settings = LoopSettings(policy="latest" if policy == "latest" else "every")
        return Inspection(source, judge, [database, lines], clock, settings).run()


def report(summary: RunSummary, memory: "Memory") -> None:
    accounted = summary.judged + sum(summary.errors.values())
    slope = memory.mb_per_10_min()
    end = summary.latency["end to end"]
    print(f"captured {summary.captured} = judged {summary.judged} + {dict(summary.errors)}: ", end="")
    print("accounted for" if accounted == summary.captured else f"{summary.captured - accounted} UNACCOUNTED")
    print(
        f"memory {memory.samples[-1][1]:.1f} MB at the end, {slope:+.2f} MB in 10 minutes (target: below 1)"
    )
    print(f"end to end p50 {end.p50_ms:.1f} ms, p99 {end.p99_ms:.1f} ms, max {end.max_ms:.1f} ms")
    figures = {
        "captured": summary.captured,
        "judged": summary.judged,
        "errors": {str(cause): count for cause, count in summary.errors.items()},
        "wall_s": round(summary.wall_s, 1),
        "rss_mb": [round(value, 2) for _, value in memory.samples[:: max(1, len(memory.samples) // 40)]],
        "mb_per_10_min": round(slope, 3),
    }
    print(json.dumps(figures))


class Memory:
    """Samples this process's resident memory while its block runs."""

    def __init__(self, clock: Clock) -> None:
        self.samples: list[tuple[float, float]] = []
        self._clock = clock
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def mb_per_10_min(self) -> float:
        """Least-squares slope after the warm-up; NaN with fewer than three samples."""
        kept = np.array(self.samples[int(len(self.samples) * WARM_SHARE) :])
        return float(np.polyfit(kept[:, 0], kept[:, 1], 1)[0] * 600) if len(kept) > 2 else float("nan")

    def _watch(self) -> None:
        while True:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.samples.append((self._clock.monotonic_ns() / 1e9, pages * PAGE / 1e6))
            if self._done.wait(EVERY_S):
                return


if __name__ == "__main__":
    main()
