"""The newest run and a run's exported graph, for commands; names that moved elsewhere are passed on."""

import difflib
from pathlib import Path

from sji_edge.cli.render.console import console as console
from sji_edge.cli.render.figures import figure as figure
from sji_edge.cli.render.figures import rate as rate
from sji_edge.cli.render.training import print_run as print_run
from sji_edge.cli.settings import settings_or_usage_error as settings_or_usage_error
from sji_edge.core import run_files
from sji_edge.core.errors import UsageError
from sji_edge.core.files import newest_folder

MAX_LISTED = 5


def newest_run(runs: Path, marker: str = run_files.CARD) -> Path:
    """Return the run whose ``marker`` was written last; raises ``UsageError`` when there is none."""
    found = newest_folder(runs, marker)
    if found is None:
        step = "sji-edge train DATA" if marker == run_files.CARD else "sji-edge export"
        raise UsageError(f"no run with a {marker} in {runs}", hint=f"make one with {step}")
    return found


def exported_model(path: Path) -> Path:
    """Return the ONNX file that a path names: itself, or a run's; raises ``UsageError`` without one."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise UsageError(f"there is no run or model {path}", hint=f"name {_runs_beside(path)}")
    model = path / run_files.MODEL
    if model.is_file():
        return model
    if not (path / run_files.CARD).is_file():
        raise UsageError(f"{path} is no run: it holds no card.json", hint=f"name {_runs_beside(path / '_')}")
    raise UsageError(
        f"the run {path} is not exported: it holds no model.onnx", hint=f"sji-edge export {path}"
    )


def _runs_beside(path: Path) -> str:
    names = sorted(mark.parent.name for mark in path.parent.glob("*/card.json"))
    if not names:
        return "a run of yours, or its model.onnx; make a run with sji-edge train DATA"
    close = difflib.get_close_matches(path.name, names, n=1)
    listed = ", ".join(names[:MAX_LISTED]) + (", …" if len(names) > MAX_LISTED else "")
    return f"a run such as {path.parent / close[0]}" if close else f"a run of {path.parent}: {listed}"
