"""Compares the whole loop with that of an older checkout, each with its own engine: joints/s, in alternating processes.

    python benchmarks/against_older_loop.py --engine engines/STUDENT --tree ../older --tree-engine engines/TEACHER

Each process runs that checkout's ``loop_speed.py`` on the same boards, and reports its loop and its bare engine.
"""

import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

from loop_rig import arguments

HERE = Path(__file__).parents[1]
ROUND = re.compile(r"round \d+: engine (\d+), loop (\d+) joints/s")
CPU = re.compile(r"by CPU time: median ([\d.]+)")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--tree", type=Path, required=True, help="the older checkout")
    parser.add_argument("--tree-engine", type=Path, help="its engine; default: the same")
    parser.add_argument("--frames", type=int, default=40, help="frames a block")
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args()
    sides = {"here": (HERE, given.engine), "older": (given.tree, given.tree_engine or given.engine)}
    loops: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(given.rounds):
        said = []
        # A B, then B A: any drift affects both sides.
        for side in sorted(sides, reverse=bool(number % 2)):
            tree, engine = sides[side]
            bare, loop, cpu = rates(tree, engine, given)
            loops[side].append(loop)
            said.append(f"{side}: loop {loop:.0f}, bare {bare:.0f} joints/s, CPU time bare / loop {cpu:.3f}")
        print(f"round {number}: {'; '.join(said)}", flush=True)
    ratios = [here / older for here, older in zip(loops["here"], loops["older"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"loop here / older loop: median {middle:.2f}, quartiles {low:.2f} and {high:.2f}, {len(ratios)} rounds"
    )


def rates(tree: Path, engine: Path, given) -> tuple[float, float, float]:
    """Median joints/s of the bare engine and of the loop in one process, and the CPU time of one over the other."""
    command = [sys.executable, str((tree / "benchmarks" / "loop_speed.py").absolute())]
    command += ["--engine", str(engine.absolute()), "--threads", str(given.threads)]
    command += ["--frames", str(given.frames), "--rounds", "2"]
    command += ["--boards", str(given.boards.absolute())] if given.boards else []
    environment = {**os.environ, "PYTHONPATH": str(tree.absolute())}
    done = subprocess.run(command, env=environment, cwd=tree, capture_output=True, text=True)
    found = ROUND.findall(done.stdout)
    if done.returncode or not found:
        raise SystemExit(f"{tree}: {done.stderr or done.stdout}")
    bare, loop = (statistics.median(float(row[place]) for row in found) for place in (0, 1))
    cpu = CPU.search(done.stdout)
    return bare, loop, float(cpu[1]) if cpu else float("nan")


if __name__ == "__main__":
    main()
