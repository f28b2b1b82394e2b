"""The demo: every command of the way, one after the other, on one folder."""

import time
from pathlib import Path

from rich.table import Table

from sji_edge.cli.commands.build_engine import build_engine
from sji_edge.cli.commands.calibrate import calibrate
from sji_edge.cli.commands.export import export
from sji_edge.cli.commands.infer import infer
from sji_edge.cli.render.console import console
from sji_edge.cli.render.figures import figure, rate
from sji_edge.core.verdict import decide, defect_scores
from sji_edge.data.synthetic.boards import write_boards
from sji_edge.data.synthetic.dataset import write_dataset
from sji_edge.evaluation.truth import rates_against_truth
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.metrics.rates import DefectRates, defect_rates
from sji_edge.parity.crops import folder_joints
from sji_edge.parity.run import predict
from sji_edge.runtime.bundle.bundle import Bundle, open_bundle, open_engine
from sji_edge.workflows.artifacts import released_engine
from sji_edge.workflows.train import train

COUNTS = {"train": (420, 210), "validation": (160, 60), "test": (200, 80)}
BATCH = 16
"""Small, so that a short training has steps enough."""

FRAMES, JOINTS, DEFECT_RATE = 6, 36, 0.1
BOARD_SEED = 1000
"""Added to the seed, so that no joint of the boards is one of the dataset."""


class Rehearsal:
    """One demo in a folder of its own.

    Args:
        folder: made here; must not exist yet.
        good_class: the class that means *no defect*.
        epochs: at most so many.
        seed: of the synthetic images and the training.
    """

    def __init__(self, folder: Path, *, good_class: str, epochs: int, seed: int) -> None:
        self._folder = folder
        self._good_class = good_class
        self._epochs = epochs
        self._seed = seed
        self._started = time.perf_counter()

    def run(self, data: Path | None, boards: Path | None) -> None:
        """Run every step and print the closing table.

        Raises:
            GateError: the engine did not pass its gate.
        """
        folder = self._folder
        if data is None:
            data, boards = self._synthetic()
        runs, engines = folder / "runs", folder / "engines"
        self._say("train", f"sji-edge train {data}")
        train(
            data,
            name="demo",
            good_class=self._good_class,
            epochs=self._epochs,
            seed=self._seed,
            runs=runs,
            batch_size=BATCH,
            progress=console().print,
        )
        self._say("export", f"sji-edge export {runs / 'demo'}")
        export(runs / "demo", runs=runs)
        self._say("calibrate", f"sji-edge calibrate {data}")
        calibrate(data, run=runs / "demo", calibrations=folder / "calibration", runs=runs)
        self._say("build-engine", f"sji-edge build-engine {runs / 'demo'}")
        build_engine(runs / "demo", engines=engines, calibrations=folder / "calibration", runs=runs)
        engine = released_engine(None, engines).folder
        bundle = open_bundle(engine)
        stream, recipe = (boards, boards) if boards else (_one_class(data, self._good_class), None)
        self._say("infer", f"sji-edge infer --stream {stream}" + (f" --recipe {recipe}" if recipe else ""))
        summary = infer(
            str(stream),
            recipe=recipe,
            engine=engine,
            output=folder / "inspections",
            save_images=folder / "pictures" if recipe else None,
        )
        self._close(bundle, data, boards, summary)

    def _synthetic(self) -> tuple[Path, Path]:
        self._say("data", f"synthetic joints and {FRAMES} boards of {JOINTS} joints")
        data, boards = self._folder / "data", self._folder / "boards"
        write_dataset(data, seed=self._seed, counts=COUNTS)
        write_boards(
            boards, seed=self._seed + BOARD_SEED, frames=FRAMES, joints=JOINTS, defect_rate=DEFECT_RATE
        )
        return data, boards

    def _say(self, step: str, what: str) -> None:
        console().rule(
            f"[bold]{step}[/bold]  {what}  ({time.perf_counter() - self._started:.0f} s)", align="left"
        )

    def _close(self, bundle: Bundle, data: Path, boards: Path | None, summary: RunSummary) -> None:
        rates = {"test split": _test_rates(bundle, data)}
        if boards is not None and (boards / "truth.csv").is_file():
            records = max((self._folder / "inspections").glob("*.jsonl"))
            rates["boards"] = rates_against_truth(records, boards / "truth.csv")
        table = Table(
            title=f"{bundle.manifest.name} ({bundle.manifest.backend}, {bundle.manifest.precision})"
        )
        table.add_column("")
        for name in rates:
            table.add_column(name, justify="right")
        for row, cells in _rows(rates).items():
            table.add_row(row, *cells)
        judged = bundle.parity.comparisons[bundle.parity.gated]
        table.add_section()
        table.add_row(
            "parity with PyTorch",
            f"{judged['flips']} flips, {judged['escape_flips']} of them to PASS, in {bundle.parity.joints} crops",
        )
        latency = summary.latency.get("end to end")
        table.add_row("throughput", f"{summary.joints_per_s:.0f} joints/s, reading included")
        if latency is not None:
            table.add_row("latency a frame", f"p50 {latency.p50_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms")
        console().rule()
        console().print(table)
        console().print(f"everything is in {self._folder}/ ({time.perf_counter() - self._started:.0f} s)")


def _one_class(data: Path, good_class: str) -> Path:
    """Return the test folder of the good class, as a stream of single joints."""
    return data / "test" / good_class


def _test_rates(bundle: Bundle, data: Path) -> DefectRates:
    joints = folder_joints(data, "test", bundle.card)
    engine = open_engine(bundle)
    try:
        scores = defect_scores(predict(engine, joints.crops), bundle.card.good_index)
    finally:
        engine.close()
    return defect_rates(decide(scores, bundle.thresholds), joints.labels != bundle.card.good_index)


def _rows(rates: dict[str, DefectRates]) -> dict[str, list[str]]:
    columns = list(rates.values())
    return {
        "good / defective joints": [f"{item.goods} / {item.defects}" for item in columns],
        "F1 (defect)": [figure(item.f1) for item in columns],
        "escape rate [95 %]": [rate(item.escape_rate, item.escape_interval) for item in columns],
        "false-call rate [95 %]": [rate(item.false_call_rate, item.false_call_interval) for item in columns],
        "sent to REVIEW": [str(item.reviews) for item in columns],
        "ERROR": [str(item.errors) for item in columns],
    }
