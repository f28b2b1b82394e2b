"""The table of a finished training run."""

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.console import console
from sji_edge.cli.render.figures import figure, rate
from sji_edge.core.card import ModelCard


def print_run(folder: Path, card: ModelCard) -> None:
    """Print what a finished run reached on each split; see ``ModelCard.metrics``."""
    table = Table(
        title=f"{escape(card.name)}: PASS below {card.thresholds.lower:.3f}, FAIL from {card.thresholds.upper:.3f}"
    )
    for column in ("split", "joints", "AP", "F1 (defect)", "escape rate", "false-call rate", "review"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, metrics in card.metrics.items():
        table.add_row(
            escape(split),
            str(metrics["joints"]),
            figure(metrics["average_precision"]),
            figure(metrics["f1"]),
            rate(metrics["escape_rate"], metrics["escape_interval"]),
            rate(metrics["false_call_rate"], metrics["false_call_interval"]),
            str(metrics["reviews"]),
        )
    console().print(table)
    console().print(f"weights: {card.weights}; run: {folder}", markup=False)
