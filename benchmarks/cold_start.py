"""Measures a cold start: from the command ``sji-edge infer`` to the first board's verdict, in processes of their own.

    python benchmarks/cold_start.py --engine engines/NAME
    python benchmarks/cold_start.py --engine engines/NAME --against ../an-older-checkout

Without ``--against``, a start that finds its compiled engine in the cache is compared with the first one on a machine.
With it, this tree's start is compared with another tree's, both with a filled cache. The sides alternate. Wall time
depends on what else runs; CPU time and the ratios hardly do. Target: 1.5 s on a quiet machine.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loop_rig import arguments

HERE = Path(__file__).parents[1]
TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
TARGET_S = 1.5
VERDICT = re.compile(rb"(PASS|REVIEW|FAIL|ERROR) +\S")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--against", type=Path, help="another checkout of the project")
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    boards = given.boards or Path(os.environ["SJI_DATA"]) / "boards"
    frame = next(path for path in sorted(boards.glob("*.png")) if path.name != "golden.png")
    call = ["infer", "--stream", str(frame), "--recipe", str(boards), "--max-frames", "1"]
    call += ["--threads", str(given.threads)]
    if given.engine is not None:
        call += ["--engine", str(given.engine.absolute())]
    with tempfile.TemporaryDirectory(prefix="sji-cold-") as place:
        kept = Path(place) / "cache"
        first = given.against is None
        sides = {
            "this tree": (HERE, kept),
            "first start" if first else "other tree": (given.against or HERE, kept),
        }
        for tree, cache in sides.values():
            start(tree, call, Path(place), cache)
        taken: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for number in range(given.rounds):
            # A B, then B A: any drift affects both sides.
            for side in sorted(sides, reverse=bool(number % 2)):
                tree, cache = sides[side]
                if side == "first start":
                    cache = Path(place) / f"empty{number}"
                taken[side].append(start(tree, call, Path(place), cache))
    report(taken)


def start(tree: Path, call: list[str], place: Path, cache: Path) -> tuple[float, float]:
    """Seconds from the start of the process to its first verdict: by the clock, and of CPU time."""
    environment = {**os.environ, "PYTHONPATH": str(tree.absolute()), "XDG_CACHE_HOME": str(cache)}
    # An older tree may not write to a newer one's database.
    records = place / "records" / tree.absolute().as_posix().strip("/").replace("/", "-")
    command = [sys.executable, "-m", "sji_edge", *call, "--output", str(records)]
    begun = time.perf_counter()
    with subprocess.Popen(
        # Not from this tree's folder: python -m looks in the working directory first.
        command,
        env=environment,
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if VERDICT.match(line):
                wall_s, cpu_s = time.perf_counter() - begun, cpu_time(process.pid)
                process.stdout.read()
                return wall_s, cpu_s
        assert process.stderr is not None
        raise SystemExit(f"no verdict from {tree}:\n{process.stderr.read().decode()}")


def cpu_time(pid: int) -> float:
    """CPU seconds of a process until now, all its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def report(taken: dict[str, list[tuple[float, float]]]) -> None:
    """Print each side's times, and the ratios of the rounds."""
    one, two = taken
    print(f"{'s to the first verdict':<24}{'wall p50':>10}{'least':>8}{'CPU p50':>10}{'least':>8}")
    for side, rounds in taken.items():
        wall, cpu = zip(*rounds, strict=True)
        figures = (statistics.median(wall), min(wall), statistics.median(cpu), min(cpu))
        print(f"{side:<24}{figures[0]:>10.2f}{figures[1]:>8.2f}{figures[2]:>10.2f}{figures[3]:>8.2f}")
    for column, what in enumerate(("wall", "CPU")):
        ratios = [a[column] / b[column] for a, b in zip(taken[one], taken[two], strict=True)]
        print(
            f"{what}, {one} / {two}: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
        )
    print(f"target: {TARGET_S:g} s by the clock on a quiet machine")


if __name__ == "__main__":
    main()
