"""Kills real runs with SIGKILL at random moments, and checks that every reported board is completely on record.

    python benchmarks/kill_nine.py --kills 100

Each cycle starts ``sji-edge infer`` as a separate process, over small boards and with a tiny real engine, all
into one output folder, and kills it at a random moment: after its first report, every fifth one at any time from its
start. Then, without any repair, every board on its standard output and in its JSONL must be in SQLite with the same
verdict and scores, the database must pass its own integrity check, and every board must have all its joints. The next
cycle continues with the same database. A kill shows that data handed to the kernel survives; it says nothing about a
power cut.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import tiny_bundle  # noqa: E402
from support.bright_model import PLACES, board_image, write_recipe  # noqa: E402

FRAMES, DISTINCT = 5000, 8
EARLY = 5
"""One kill in this many may come before the first board."""
START = "from sji_edge.cli.main import run; run()"


@dataclass(frozen=True)
class Cycle:
    """The traces of one killed run: boards that it reported on its output and in JSONL; boards found; faults."""

    shown: int
    lines: int
    kept: int
    faults: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument(
        "--within-s", type=float, default=1.0, help="maximum time from the first report to the kill"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    moments = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        words = prepare(Path(place))
        cycles = []
        for number in range(given.kills):
            from_start = number % EARLY == EARLY - 1
            delay_s = moments.uniform(0.0, given.within_s)
            cycle = kill_once(words, Path(place) / "out", delay_s, from_start=from_start)
            cycles.append(cycle)
            for fault in cycle.faults:
                print(f"kill {number}: {fault}")
    sys.exit(report(cycles))


def report(cycles: list[Cycle]) -> int:
    shown, lines, kept = (sum(getattr(one, name) for one in cycles) for name in ("shown", "lines", "kept"))
    faults = sum(len(one.faults) for one in cycles)
    print(
        f"{len(cycles)} kills: {shown} boards on standard output, {lines} in JSONL, {kept} in SQLite; {faults} faults"
    )
    print(
        json.dumps({"kills": len(cycles), "shown": shown, "jsonl": lines, "sqlite": kept, "faults": faults})
    )
    return 1 if faults else 0


def prepare(place: Path) -> list[str]:
    """Make engine, recipe and frames (a few pictures under many names); returns the command's arguments."""
    engine = tiny_bundle.make_bundle(place / "engines").folder
    write_recipe(place / "recipe")
    frames = place / "frames"
    frames.mkdir()
    pictures = []
    for number in range(DISTINCT):
        pictures.append(place / f"picture{number}.png")
        # Names in file order alternate between pictures: the same one twice in a row would be a frozen frame.
        cv2.imwrite(str(pictures[-1]), board_image(dict.fromkeys(PLACES, 40 + 25 * number)))
    for number in range(FRAMES):
        os.link(pictures[number % DISTINCT], frames / f"f{number:05d}.png")
    values = {"stream": frames, "recipe": place / "recipe", "engine": engine, "output": place / "out"}
    options = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return ["infer", *options, "--threads", "1"]


def kill_once(words: list[str], output: Path, delay_s: float, *, from_start: bool = False) -> Cycle:
    """Run, kill this long after the first report (or the start), and examine the result."""
    before = set(output.glob("*.jsonl"))
    with subprocess.Popen(
        [sys.executable, "-c", START, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    ) as child:
        head = b"" if from_start else next((line for line in child.stdout if b"residual" in line), b"")
        if not (head or from_start):
            return Cycle(0, 0, 0, [f"it reported nothing: {child.stderr.read().decode()[-300:]}"])
        time.sleep(delay_s)
        child.send_signal(signal.SIGKILL)
        shown = [head, *child.stdout.read().splitlines(keepends=True)]
    if child.returncode != -signal.SIGKILL:
        return Cycle(0, 0, 0, [f"it ended by itself with {child.returncode}: make --within-s shorter"])
    names = [line.split()[1].decode() for line in shown if b"residual" in line and line.endswith(b"\n")]
    new = set(output.glob("*.jsonl")) - before
    if not new:
        # Killed before it began, so it cannot have reported anything either.
        return Cycle(len(names), 0, 0, ["it reported boards before its JSONL existed"] if names else [])
    return examine(output / "inspections.db", new.pop(), names)


def examine(database: Path, lines: Path, names: list[str]) -> Cycle:
    """Compare what a run reported with what is on record; the database is only read."""
    faults = []
    reported = dict(complete_boards(lines))
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        ask = connection.execute
        if (health := ask("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            faults.append(f"integrity check: {health[:3]}")
        run = f"{lines.stem}-%"
        boards = ask(
            "SELECT id, board, frame_name, verdict FROM boards WHERE board LIKE ?", (run,)
        ).fetchall()
        kept = {
            board: (frame, verdict, ask("SELECT refdes, verdict, score FROM joints WHERE board_id = ? "
                                        "ORDER BY position", (number,)).fetchall())
            for number, board, frame, verdict in boards
        }  # fmt: skip
        halves = ask(
            "SELECT count(*) FROM boards b WHERE (SELECT count(*) FROM joints j WHERE j.board_id = b.id) <> ?",
            (len(PLACES),),
        ).fetchone()[0]
        if halves:
            faults.append(f"{halves} boards without all their joints")
    if missing := [board for board in reported if board not in kept]:
        faults.append(f"{len(missing)} boards of JSONL are not in SQLite: {missing[:3]}")
    if differing := [board for board in reported if board in kept and reported[board] != kept[board]]:
        faults.append(f"{len(differing)} boards differ: {differing[:3]}")
    frames = {frame for frame, _, _ in kept.values()}
    if unknown := [name for name in names if name not in frames]:
        faults.append(f"{len(unknown)} boards of standard output are not in SQLite: {unknown[:3]}")
    return Cycle(len(names), len(reported), len(kept), faults)


def complete_boards(
    lines: Path,
) -> Iterator[tuple[str, tuple[str, str, list[tuple[str, str, float | None]]]]]:
    """Yield boards whose own line exists, with their joints; a board that the kill cut short is left out."""
    joints: list[tuple[str, str, float | None]] = []
    for line in lines.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        values = json.loads(line)
        if values["type"] == "joint":
            joints.append((values["refdes"], values["verdict"], values["score"]))
        else:
            yield values["board"], (values["frame"], values["verdict"], joints)
            joints = []


if __name__ == "__main__":
    main()
