"""Compares the inspection of a board with that of the same board as a panel of four units.

    python benchmarks/panel_speed.py BOARDS ENGINE --rounds 5

Each joint belongs to the unit of its quarter of the frame. The verdicts and scores must be equal bit for bit. Both
loops read the same frames from memory and take turns; rates are joints per second of processor time, so that what else
runs on this machine does not count. Exit 1 if a score or a verdict differs.
"""

import argparse
import csv
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2

from sji_edge.core.protocols import BoardRecord
from sji_edge.testing import FakeSource
from sji_edge.workflows.inspect.inspector import Inspector


class Kept:
    """Keeps the records of a run."""

    def __init__(self) -> None:
        self.records: list[BoardRecord] = []

    def write(self, record: BoardRecord) -> None:  # noqa: D102
        self.records.append(record)

    def close(self) -> None:  # noqa: D102
        pass


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("boards", type=Path)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=4, help="how often a round shows each board")
    given = parser.parse_args()
    paths = sorted(path for path in given.boards.glob("*.png") if path.name != "golden.png")
    frames = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        panel = as_panel(given.boards, Path(folder) / "panel")
        with (
            Inspector(given.engine, recipe=given.boards, threads=1) as plain,
            Inspector(given.engine, recipe=panel, threads=1) as units,
        ):
            differ = compare(judged(plain, frames), judged(units, frames))
            rates: dict[str, list[float]] = {"board": [], "panel": []}
            for number in range(given.rounds):
                order = [("board", plain), ("panel", units)]
                for name, inspector in order if number % 2 else reversed(order):
                    begun = time.process_time()
                    summary = inspector.run(FakeSource(frames * given.times), sinks=[Kept()])
                    rates[name].append(sum(summary.joints.values()) / (time.process_time() - begun))
    ratios = [panel / board for board, panel in zip(rates["board"], rates["panel"], strict=True)]
    for name, found in rates.items():
        print(
            f"{name}: {statistics.median(found):.0f} joints per processor second ({min(found):.0f} to {max(found):.0f})"
        )
    print(f"panel / board: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    sys.exit(bool(differ))


def as_panel(recipe: Path, folder: Path) -> Path:
    """Write a recipe in which every joint belongs to the unit of its quarter."""
    folder.mkdir()
    board = json.loads((recipe / "board.json").read_text())
    width, height = board["frame"]
    board["units"] = [{"name": name} for name in ("U1", "U2", "U3", "U4")]
    (folder / "board.json").write_text(json.dumps(board))
    shutil.copy(recipe / "golden.png", folder)
    with (recipe / "joints.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (folder / "joints.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "unit"])
        writer.writeheader()
        for row in rows:
            quarter = 1 + (float(row["x"]) > width / 2) + 2 * (float(row["y"]) > height / 2)
            writer.writerow({**row, "unit": f"U{quarter}"})
    return folder


def judged(inspector: Inspector, frames: list) -> list[BoardRecord]:
    """Judge each frame."""
    kept = Kept()
    inspector.run(FakeSource(frames), sinks=[kept])
    return kept.records


def compare(plain: list[BoardRecord], panel: list[BoardRecord]) -> int:
    """Count the joints whose score or verdict differs, and say so."""
    pairs = [
        (one, other)
        for board, units in zip(plain, panel, strict=True)
        for one, other in zip(board.joints, units.joints, strict=True)
    ]
    differ = sum(
        (one.score, one.verdict, one.refdes) != (other.score, other.verdict, other.refdes.partition("/")[2])
        for one, other in pairs
    )
    counts = {unit.name: unit.verdict for unit in panel[0].units}
    print(f"{len(pairs)} verdicts, {differ} differ; the first panel: {counts}")
    return differ


if __name__ == "__main__":
    main()
