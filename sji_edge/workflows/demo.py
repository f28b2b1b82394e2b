"""The demo: every step from labelled crops to judged boards, in one folder."""

import inspect
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sji_edge.core.clock import SystemClock
from sji_edge.core.extras import require
from sji_edge.core.files import StrPath, check_new_folder, fresh_name
from sji_edge.core.verdict import decide, defect_scores
from sji_edge.data.audit import Finding
from sji_edge.data.synthetic.boards import write_boards
from sji_edge.data.synthetic.dataset import write_dataset
from sji_edge.evaluation.truth import rates_against_truth
from sji_edge.inspection.settings import RunSettings
from sji_edge.metrics.rates import DefectRates, defect_rates
from sji_edge.parity.crops import folder_joints
from sji_edge.parity.run import predict
from sji_edge.runtime.bundle.bundle import Bundle, open_engine
from sji_edge.workflows.build.build_engine import build_engine
from sji_edge.workflows.calibrate import CalibrationResult, calibrate
from sji_edge.workflows.export import export
from sji_edge.workflows.inspect.request import RunListener, RunRequest, RunResult
from sji_edge.workflows.inspect.run import run_inference
from sji_edge.workflows.train import train

if TYPE_CHECKING:
    # Building needs packages that the base installation does not have; the command names them first.
    from sji_edge.training.train import Run
    from sji_edge.workflows.build.write_bundle import Built

NAME = "demo"
BATCH = 16
"""Small, so that a short training has enough steps."""

COUNTS = {"train": (420, 210), "validation": (160, 60), "test": (200, 80)}
"""Good and defective joints of the synthetic dataset."""

FRAMES, JOINTS, DEFECT_RATE = 6, 36, 0.1
BOARD_SEED = 1000
"""Added to the seed, so that no joint of the boards is one of the dataset."""

EXTRAS = ("torch", "lightning", "onnx", "onnxscript", "matplotlib")


@dataclass(frozen=True)
class DemoStep:
    """One step of the demo.

    Attributes:
        title: the command's name.
        values: what its workflow is called with.
        command: the equivalent command line, ready for a shell.
    """

    title: str
    values: Mapping[str, Any]
    command: str


@dataclass(frozen=True)
class DemoPlan:
    """The steps of a demo, in their order."""

    train: DemoStep
    export: DemoStep
    calibrate: DemoStep
    build_engine: DemoStep
    infer: DemoStep


@dataclass(frozen=True)
class DemoResult:
    """The result of a demo.

    Attributes:
        folder: holds everything.
        run: the trained run.
        calibration: the calibration set.
        built: the engine that was released.
        inference: counts and latencies of the judged frames.
        rates: escapes and false calls of the engine, on the test split and, where the truth is known, on the boards.
    """

    folder: Path
    run: "Run"
    calibration: CalibrationResult
    built: "Built"
    inference: RunResult
    rates: Mapping[str, DefectRates]


class DemoListener:
    """Is notified of the events of a demo; every method does nothing unless it is overridden."""

    def data_written(self, folder: Path, boards: Path) -> None:
        """Synthetic joints and boards were written."""

    def began(self, step: DemoStep) -> None:
        """A step begins."""

    def progressed(self, text: str) -> None:
        """A step reports its progress."""

    def found(self, finding: Finding) -> None:
        """A fault of the dataset was found."""

    def epoch(self, line: str) -> None:
        """An epoch of the training ended."""

    def trained(self, run: "Run") -> None:
        """The run was written."""

    def exported(self, model: Path) -> None:
        """The ONNX file was written, and agrees with PyTorch."""

    def calibrated(self, made: CalibrationResult) -> None:
        """The calibration set was written."""

    def built(self, built: "Built") -> None:
        """The engine was written, released or not."""

    def judging(self) -> AbstractContextManager[RunListener]:
        """Return the listener for the run over the frames."""
        return nullcontext(RunListener())


def demo(
    output: StrPath = "demo",
    *,
    data: StrPath | None = None,
    boards: StrPath | None = None,
    good_class: str = "normal",
    epochs: int = 12,
    seed: int = 0,
    listener: DemoListener | None = None,
) -> DemoResult:
    """Train, export, calibrate, build an engine and judge frames, in a new folder.

    Args:
        output: the folder; a number is appended if it exists.
        data: dataset folder, ``DATA/{train,validation,test}/CLASS/IMAGE``; None for synthetic joints and boards.
        boards: folder of frames that is also their recipe, for ``data``; None to judge the good joints of its test
            split, one per image.
        good_class: class that means *no defect*.
        epochs: maximum number of epochs.
        seed: seed of the synthetic images and the training.
        listener: is notified of each event.

    Raises:
        UsageError: a setting is wrong, or the dataset cannot be used.
        GateError: no engine passed its gate.
        OutputError: the folder cannot be written; checked first.
        MissingExtraError: PyTorch or another package of the train extra is not installed.
    """
    require(*EXTRAS, purpose="the demo")
    heard = listener or DemoListener()
    given = Path(output)
    folder = given.parent / fresh_name(given.parent, given.name)
    check_new_folder(folder)
    if data is None:
        data, boards = folder / "data", folder / "boards"
        write_dataset(data, seed=seed, counts=COUNTS)
        write_boards(boards, seed=seed + BOARD_SEED, frames=FRAMES, joints=JOINTS, defect_rate=DEFECT_RATE)
        heard.data_written(data, boards)
    frames = None if boards is None else Path(boards)
    plan = plan_demo(folder, Path(data), frames, good_class=good_class, epochs=epochs, seed=seed)

    heard.began(plan.train)
    run = train(**plan.train.values, progress=heard.epoch, on_finding=heard.found)
    heard.trained(run)
    heard.began(plan.export)
    heard.exported(export(**plan.export.values, progress=heard.progressed))
    heard.began(plan.calibrate)
    calibration = calibrate(**plan.calibrate.values, progress=heard.progressed)
    heard.calibrated(calibration)
    heard.began(plan.build_engine)
    built = build_engine(**plan.build_engine.values, progress=heard.progressed)
    heard.built(built)
    built.require_release()
    heard.began(plan.infer)
    with heard.judging() as run_listener:
        request = RunRequest(settings=RunSettings(), **plan.infer.values)
        inference = run_inference(request, SystemClock(), run_listener)
    rates = {"test split": _test_rates(built.bundle, Path(data))}
    if frames is not None and (frames / "truth.csv").is_file():
        rates["boards"] = rates_against_truth(inference.paths.lines, frames / "truth.csv")
    return DemoResult(folder, run, calibration, built, inference, rates)


def plan_demo(
    folder: Path, data: Path, boards: Path | None, *, good_class: str, epochs: int, seed: int
) -> DemoPlan:
    """Return the steps of a demo: what each workflow is called with, and the command line for it."""
    run, engine = folder / "runs" / NAME, folder / "engines" / NAME
    training = {
        "data": data,
        "runs": folder / "runs",
        "name": NAME,
        "good_class": good_class,
        "epochs": epochs,
        "batch_size": BATCH,
        "seed": seed,
    }
    choosing = {"data": data, "run": run, "calibration": folder / "calibration"}
    building = {
        "model": run,
        "engines": folder / "engines",
        "calibrations": folder / "calibration",
        "name": NAME,
    }
    judging = {
        "stream": str(boards or data / "test" / good_class),
        "recipe": boards,
        "engine": engine,
        "output": folder / "inspections",
        "save_images": folder / "pictures" if boards else None,
    }
    return DemoPlan(
        train=_step("train", training, train, argument="data"),
        export=_step("export", {"run": run}, export, argument="run"),
        calibrate=_step(
            "calibrate", choosing, calibrate, argument="data", options={"calibration": "calibrations"}
        ),
        build_engine=_step("build-engine", building, build_engine, argument="model"),
        infer=_step("infer", judging, RunRequest),
    )


def _step(
    title: str,
    values: Mapping[str, Any],
    workflow: Callable[..., Any],
    *,
    argument: str = "",
    options: Mapping[str, str] | None = None,
) -> DemoStep:
    """Return a step whose command names every value that differs from the workflow's default.

    Args:
        title: the command's name.
        values: what the workflow is called with.
        workflow: gives the defaults.
        argument: the value that the command takes as its argument.
        options: names of options that differ from the value's.
    """
    parameters = inspect.signature(workflow).parameters
    words: list[str] = ["sji-edge", title, *([str(values[argument])] if argument else [])]
    for name, value in values.items():
        if name != argument and str(value) != str(parameters[name].default):
            words += ["--" + (options or {}).get(name, name).replace("_", "-"), str(value)]
    return DemoStep(title, values, shlex.join(words))


def _test_rates(bundle: Bundle, data: Path) -> DefectRates:
    """Measure the engine on the test split."""
    joints = folder_joints(data, "test", bundle.card)
    engine = open_engine(bundle)
    try:
        output = predict(engine, joints.crops)
    finally:
        engine.close()
    codes = decide(defect_scores(output.logits, bundle.card.good_index), bundle.thresholds, output.novelty)
    return defect_rates(codes, joints.labels != bundle.card.good_index)
