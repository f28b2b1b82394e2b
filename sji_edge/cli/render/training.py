"""Progress and result of a training run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from sji_edge.cli.render.budget import print_budget
from sji_edge.cli.render.console import console
from sji_edge.cli.render.figures import figure, rate
from sji_edge.core.card import ModelCard

Say = Callable[[str], None]
Steps = Callable[[int, int], None]


@contextmanager
def training_progress() -> Iterator[tuple[Say, Steps]]:
    """Yield the callbacks of a training: one line an epoch, and on a terminal a bar over all batches.

    A log or a pipe gets the lines only.
    """
    screen = console()
    if not screen.is_terminal:
        yield (lambda line: screen.print(line, markup=False)), (lambda _done, _total: None)
        return
    columns = (TextColumn("training"), BarColumn(), TextColumn("batch {task.completed} of {task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=screen, transient=True) as bar:
        task = bar.add_task("training", total=None, visible=False)

        def steps(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        yield (lambda line: screen.print(line, markup=False)), steps


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
    if card.review_budget is not None:
        print_budget(card.review_budget)
    taught = f"taught by: {', '.join(teacher.name for teacher in card.teachers)}; " if card.teachers else ""
    console().print(f"{taught}initial weights: {card.weights}; run: {folder}", markup=False)
