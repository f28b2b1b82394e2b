"""Measures the cost of a board's record: CPU and wall time of each sink, and of SQLite with a weaker guarantee.

    python benchmarks/record_cost.py --joints 100 --folder DISK

The sinks alternate, board by board, so that a busy machine affects all of them. ``NORMAL`` is SQLite without the
sync at each commit: it shows what surviving a power cut costs on this disk; no run uses it.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

from sji_edge.core.protocols import BoardRecord, JointRecord, Sink
from sji_edge.core.verdict import Verdict
from sji_edge.records import SINKS
from sji_edge.records.write.sqlite import SqliteSink

WARM = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--joints", type=int, default=100)
    parser.add_argument("--boards", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: the temporary one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as place, ExitStack() as stack:
        sinks: dict[str, Sink] = {kind: SINKS.get(kind)(Path(place) / kind) for kind in SINKS.names()}
        weaker = SqliteSink(Path(place) / "weaker")
        weaker._connection.execute("PRAGMA synchronous = NORMAL")
        sinks["sqlite, NORMAL"] = weaker
        for sink in sinks.values():
            stack.enter_context(closing(sink))
        spent = measure(sinks, given.joints, given.boards)
    print(f"{given.boards} boards of {given.joints} joints, ms per board")
    print(f"{'sink':<16}{'CPU':>8}{'wall':>8}{'wall p99':>10}")
    for name, (cpu, wall) in spent.items():
        p99 = statistics.quantiles(wall, n=100)[98]
        print(f"{name:<16}{statistics.fmean(cpu):>8.3f}{statistics.fmean(wall):>8.3f}{p99:>10.3f}")


def measure(sinks: dict[str, Sink], joints: int, boards: int) -> dict[str, tuple[list[float], list[float]]]:
    """Milliseconds of CPU and of wall time by sink, one value per board."""
    spent: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in sinks}
    for index in range(WARM + boards):
        record = board(index, joints)
        for name, sink in sinks.items():
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            sink.write(record)
            if index >= WARM:
                spent[name][0].append((time.process_time_ns() - cpu) / 1e6)
                spent[name][1].append((time.perf_counter_ns() - wall) / 1e6)
    return spent


def board(index: int, joints: int) -> BoardRecord:
    listed = tuple(
        JointRecord(f"J{number}", Verdict.PASS, 0.3 * number / joints, 0.4, 0.6, "normal")
        for number in range(joints)
    )
    stages = dict.fromkeys(
        ("acquire", "check", "align", "crop", "infer", "decide", "since_capture"), 1_234_567
    )
    return BoardRecord(
        f"cost-{index:06d}",
        index,
        f"frame{index}.png",
        "2025-01-31T08:09:10.123456+00:00",
        Verdict.PASS,
        listed,
        "e" * 64,
        "r" * 64,
        alignment_residual_px=0.1,
        latency_ns=stages,
    )


if __name__ == "__main__":
    main()
