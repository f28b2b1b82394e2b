"""sji-edge: edge deployment for inline optical inspection of solder joints.

The public API, one function or class for each step::

    import sji_edge as sji

    run = sji.train("joints/", alpha=0.1)
    model = sji.export(run)
    sji.calibrate("joints/", run=run)
    engine = sji.build_engine(model)
    with sji.Inspector(engine, recipe="boards/amplifier") as inspector:
        board = inspector.judge(frame)
        summary = inspector.run("camera0", sinks=[sji.SqliteSink("inspections.db")])

Every name is resolved on first use: importing sji_edge loads neither PyTorch nor OpenCV nor an engine runtime.
Errors are in ``sji_edge.errors``; ``sji_edge.testing`` has a fake engine, source and clock for tests.
"""

# Type checkers take this name for true; importing typing for it would cost more than all the rest.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from sji_edge.core import errors as errors
    from sji_edge.core.errors import SjiError as SjiError
    from sji_edge.core.protocols import BoardRecord as BoardRecord
    from sji_edge.core.protocols import Engine as Engine
    from sji_edge.core.protocols import EngineOutput as EngineOutput
    from sji_edge.core.protocols import EngineSpec as EngineSpec
    from sji_edge.core.protocols import Frame as Frame
    from sji_edge.core.protocols import FrameSource as FrameSource
    from sji_edge.core.protocols import JointRecord as JointRecord
    from sji_edge.core.protocols import Sink as Sink
    from sji_edge.core.protocols import UnitRecord as UnitRecord
    from sji_edge.core.verdict import Thresholds as Thresholds
    from sji_edge.core.verdict import Verdict as Verdict
    from sji_edge.records.write.csv import CsvSink as CsvSink
    from sji_edge.records.write.jsonl import JsonlSink as JsonlSink
    from sji_edge.records.write.sqlite import SqliteSink as SqliteSink
    from sji_edge.workflows.audit import audit as audit
    from sji_edge.workflows.build.build_engine import build_engine as build_engine
    from sji_edge.workflows.calibrate import calibrate as calibrate
    from sji_edge.workflows.challenge.challenge import challenge as challenge
    from sji_edge.workflows.collect.collect import collect as collect
    from sji_edge.workflows.compare.compare import compare as compare
    from sji_edge.workflows.dataset.build import build_dataset as build_dataset
    from sji_edge.workflows.dataset.diff import diff_datasets as diff_datasets
    from sji_edge.workflows.distill import distill as distill
    from sji_edge.workflows.engines.open import open_engine as open_engine
    from sji_edge.workflows.enrol import enrol as enrol
    from sji_edge.workflows.evaluate.evaluate import evaluate as evaluate
    from sji_edge.workflows.export import export as export
    from sji_edge.workflows.guard import fit_guard as fit_guard
    from sji_edge.workflows.inspect.inspector import Inspector as Inspector
    from sji_edge.workflows.study import study as study
    from sji_edge.workflows.train import train as train

    __version__: str

__all__ = [
    "BoardRecord",
    "CsvSink",
    "Engine",
    "EngineOutput",
    "EngineSpec",
    "Frame",
    "FrameSource",
    "Inspector",
    "JointRecord",
    "JsonlSink",
    "Sink",
    "SjiError",
    "SqliteSink",
    "Thresholds",
    "UnitRecord",
    "Verdict",
    "__version__",
    "audit",
    "build_dataset",
    "build_engine",
    "calibrate",
    "challenge",
    "collect",
    "compare",
    "diff_datasets",
    "distill",
    "enrol",
    "errors",
    "evaluate",
    "export",
    "fit_guard",
    "open_engine",
    "study",
    "train",
]

_HOME = {
    "BoardRecord": "core.protocols",
    "CsvSink": "records.write.csv",
    "Engine": "core.protocols",
    "EngineOutput": "core.protocols",
    "EngineSpec": "core.protocols",
    "Frame": "core.protocols",
    "FrameSource": "core.protocols",
    "Inspector": "workflows.inspect.inspector",
    "JointRecord": "core.protocols",
    "JsonlSink": "records.write.jsonl",
    "Sink": "core.protocols",
    "SjiError": "core.errors",
    "SqliteSink": "records.write.sqlite",
    "Thresholds": "core.verdict",
    "UnitRecord": "core.protocols",
    "Verdict": "core.verdict",
    "audit": "workflows.audit",
    "build_dataset": "workflows.dataset.build",
    "build_engine": "workflows.build.build_engine",
    "calibrate": "workflows.calibrate",
    "challenge": "workflows.challenge.challenge",
    "collect": "workflows.collect.collect",
    "compare": "workflows.compare.compare",
    "diff_datasets": "workflows.dataset.diff",
    "distill": "workflows.distill",
    "enrol": "workflows.enrol",
    "evaluate": "workflows.evaluate.evaluate",
    "export": "workflows.export",
    "fit_guard": "workflows.guard",
    "open_engine": "workflows.engines.open",
    "study": "workflows.study",
    "train": "workflows.train",
}
"""The module of each lazily resolved name, relative to this package."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name on first use (PEP 562)."""
        from importlib import import_module

        if name == "__version__":
            value = _version()
        elif name == "errors":
            value = import_module("sji_edge.core.errors")
        elif name in _HOME:
            value = getattr(import_module(f"sji_edge.{_HOME[name]}"), name)
        else:
            raise AttributeError(f"module 'sji_edge' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """Return the installed version; of a source tree that is not installed, the one in ``pyproject.toml``."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sji-edge")
    except PackageNotFoundError:
        pass
    import tomllib
    from pathlib import Path

    try:
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["version"])
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return "0.0.0+unknown"
