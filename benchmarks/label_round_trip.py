"""From frames to a challenged engine, without a browser: truth.csv answers where a person would.

    python benchmarks/label_round_trip.py --against engines/NAME --work round/ [--epochs 8] [--seed 20]

Needs SJI_DATA with ``training-boards`` (frames of joints for training) and ``boards`` (frames of other joints). The
engine of ``--against`` is what is deployed today; name more than one to compare them all. The steps:

1. collect every joint of the training boards in a pool, label them all, and build a dataset;
2. train on it, export, build an engine;
3. judge ``boards`` with all engines, count escapes by kind of defect, and keep every call in a pool;
4. verify the new engine's calls, build the dataset again with them, and compare the two datasets;
5. challenge the first deployed engine with the new one on it.

A step whose folder exists in ``--work`` is not repeated.
"""

import argparse
import csv
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import sji_edge as sji
from sji_edge.core.clock import SystemClock
from sji_edge.core.decisions import Answer, Decision, Role
from sji_edge.decisions.log import DecisionLog
from sji_edge.inspection.settings import RunSettings
from sji_edge.pool.read import PoolReader
from sji_edge.records.read.history import JOINT_COLUMNS, Filter, History
from sji_edge.workflows.inspect.request import RunRequest
from sji_edge.workflows.inspect.run import run_inference

GOOD = "normal"
SHARES = {"validation": 0.2, "test": 0.2}
"""Ten boards: smaller shares leave splits without a defect."""
Truth = Mapping[tuple[str, str], str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--against",
        type=Path,
        required=True,
        action="append",
        help="deployed engine; repeat it to compare more",
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=20, help="seed of the split")
    given = parser.parse_args()
    data, work = Path(os.environ["SJI_DATA"]), given.work
    joints, second = work / "joints", work / "joints-2"
    collect_and_label(data / "training-boards", work / "pool")
    if not joints.exists():
        show(sji.build_dataset([work / "pool"], joints, seed=given.seed, **SHARES))
    engine = train_and_build(joints, work, given.epochs)
    truth = truth_of(data / "boards")
    for name, bundle in [("own", engine), *((path.name, path) for path in given.against)]:
        if not (work / f"records-{name}").exists():
            judge(data / "boards", bundle, work / f"records-{name}", work / f"line-{name}")
        print(f"{name}: {outcome(work / f'records-{name}', truth)}")
    if not second.exists():
        records = work / "records-own" / "inspections.db"
        print(f"verified {verify_calls(records, truth)} calls")
        pools = [work / "pool", work / "line-own"]
        show(sji.build_dataset(pools, second, records=[records], like=joints))
    found = sji.diff_datasets(joints, second)
    print(f"added {len(found.added)}, moved {len(found.moved)}, relabelled {len(found.relabelled)}")
    result = sji.challenge(engine, second, given.against[0])
    print("\n".join([*result.words, *(result.outcome.failures or ("passed",)), *result.notes]))


def collect_and_label(source: Path, pool: Path) -> None:
    """Collect all joints, and answer as an engineer who labels every crop without seeing a score."""
    if pool.exists():
        return
    collected = sji.collect(source, source, pool)
    print(f"collected {collected.crops} joints, {collected.counts.duplicates} near duplicates dropped")
    truth = truth_of(source)
    with PoolReader(pool) as reader, DecisionLog(pool / "pool.db") as log:
        answers = [
            Decision(
                who="truth",
                role=Role.ENGINEER,
                subject=str(crop.id),
                refdes="",
                what=Answer.LABELLED,
                category=truth[crop.origin.frame_name, crop.refdes],
                score_shown=False,
            )
            for crop in reader.every()
        ]
        print(f"labelled {len(log.append(answers))} joints")


def train_and_build(joints: Path, work: Path, epochs: int) -> Path:
    """Train on a dataset and build an FP32 engine of the run."""
    run, engine = work / "runs" / "own", work / "engines" / "own"
    if not run.exists():
        made = sji.train(joints, runs=work / "runs", name="own", epochs=epochs, progress=print)
        print(f"the run names the dataset {made.card.dataset_sha256[:12]}")
    if not engine.exists():
        sji.export(run)
        sji.build_engine(run, engines=work / "engines", name="own", precision="fp32", progress=print)
    return engine


def judge(boards: Path, engine: Path, output: Path, pool: Path) -> None:
    """Judge all boards as infer does, and keep the called joints in a pool."""
    request = RunRequest(
        stream=str(boards), settings=RunSettings(), output=output, engine=engine, recipe=boards, pool=pool
    )
    run_inference(request, SystemClock())


def truth_of(folder: Path) -> dict[tuple[str, str], str]:
    with (folder / "truth.csv").open(newline="") as stream:
        return {(row["frame"], row["refdes"]): row["state"] for row in csv.DictReader(stream)}


def verdicts(output: Path) -> list[tuple[str, str, str, str]]:
    """Return board, frame, refdes and verdict of every joint on record."""
    places = [JOINT_COLUMNS.index(name) for name in ("board", "frame_name", "refdes", "verdict")]
    with closing(History(output / "inspections.db")) as history:
        return [tuple(row[place] for place in places) for row in history.joints(Filter())]


def outcome(output: Path, truth: Truth) -> str:
    """Say which defects got PASS, and how many good joints were called."""
    rows = verdicts(output)
    passed = [
        (frame, name) for _, frame, name, found in rows if found == "PASS" and truth[frame, name] != GOOD
    ]
    defects = Counter(state for state in truth.values() if state != GOOD)
    escaped = Counter(truth[place] for place in passed)
    listed = ", ".join(f"{escaped[state]} of {count} {state}" for state, count in sorted(defects.items()))
    called = Counter(found for _, frame, name, found in rows if truth[frame, name] == GOOD)
    where = ", ".join(f"{Path(frame).stem} {name} {truth[frame, name]}" for frame, name in sorted(passed))
    return (
        f"passed {listed}; of {called.total()} good joints {called['FAIL']} FAIL, {called['REVIEW']} REVIEW; "
        f"escapes: {where or 'none'}"
    )


def verify_calls(database: Path, truth: Truth) -> int:
    """Answer every call as an operator does: confirm with the kind of defect, or reject."""
    rows = verdicts(database.parent)
    answers = []
    for board, frame, name, found in rows:
        if found in ("REVIEW", "FAIL"):
            state = truth[frame, name]
            what, kind = (Answer.REJECTED, "") if state == GOOD else (Answer.CONFIRMED, state)
            answers.append(Decision("truth", Role.OPERATOR, board, name, what, kind))
    with DecisionLog(database) as log:
        return len(log.append(answers))


def show(made) -> None:
    print(
        f"{made.folder.name}, version {made.card.version[:12]}: {made.card.joints}, left out {len(made.card.left_out)}"
    )


if __name__ == "__main__":
    main()
