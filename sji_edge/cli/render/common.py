"""What several commands print, and how settings become a usage error."""

import difflib
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table

from sji_edge.core import run_files
from sji_edge.core.card import ModelCard
from sji_edge.core.errors import UsageError
from sji_edge.core.files import newest_folder
from sji_edge.core.findings import in_option_words

LOG_WIDTH = 160
MAX_LISTED = 5
Settings = TypeVar("Settings", bound=BaseModel)


def console() -> Console:
    """Return a console on standard output; errors go elsewhere, through ``cli.main``."""
    made = Console(highlight=False, soft_wrap=True)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        # A log or a pipe has no width of its own; rich would squeeze every table into 80.
        made.width = LOG_WIDTH
    return made


def settings_or_usage_error(model: type[Settings], /, **values: Any) -> Settings:
    """Build a settings model from a command's options; raises ``UsageError`` with every finding on one line."""
    try:
        return model(**values)
    except ValidationError as error:
        raise UsageError("; ".join(map(in_option_words, error.errors()))) from error


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


def rate(value: float | None, interval: tuple[float, float] | list[float] | None) -> str:
    """Format a rate with its 95 % interval: ``2.4 % [0.1, 12.9]``; a dash where it has no denominator."""
    if value is None or interval is None:
        return "–"
    return f"{value:.1%} [{interval[0] * 100:.1f}, {interval[1] * 100:.1f}]"


def figure(value: float | None) -> str:
    """Format a figure with four decimals; a dash where it has no denominator."""
    return "–" if value is None else f"{value:.4f}"


def print_run(folder: Path, card: ModelCard) -> None:
    """Print the figures of a finished run."""
    table = Table(
        title=f"{card.name}: PASS below {card.thresholds.lower:.3f}, FAIL from {card.thresholds.upper:.3f}"
    )
    for column in ("split", "joints", "AP", "F1 (defect)", "escape rate", "false-call rate", "review"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, metrics in card.metrics.items():
        table.add_row(
            split,
            str(metrics["joints"]),
            figure(metrics["average_precision"]),
            figure(metrics["f1"]),
            rate(metrics["escape_rate"], metrics["escape_interval"]),
            rate(metrics["false_call_rate"], metrics["false_call_interval"]),
            str(metrics["reviews"]),
        )
    console().print(table)
    console().print(f"weights: {card.weights}; run: {folder}")
