"""The tables of ``evaluate``."""

from rich.table import Table

from sji_edge.cli.render.budget import budget_table
from sji_edge.cli.render.console import console, plain
from sji_edge.evaluation.document import EvaluationDocument
from sji_edge.evaluation.page import (
    SOURCES,
    TITLES,
    between_text,
    decided_text,
    figure_text,
    interval_text,
)
from sji_edge.evaluation.stress import CLEAN, StressPoint
from sji_edge.evaluation.unknown.counts import DEFECTS, UnknownReport, UnknownRow


def print_evaluation(document: EvaluationDocument) -> None:
    """Print the figures, the verdicts by class, what the limits mean, and one stress table a model."""
    terminal, evaluation = console(), document.evaluation
    if "left out" in document.facts:
        terminal.print(f"left out: {document.facts['left out']}", markup=False)
    limits = evaluation.thresholds
    table = Table(
        title=f"{evaluation.goods} good and {evaluation.defects} defective joints; "
        f"PASS below {limits.lower:.4f}, FAIL from {limits.upper:.4f}"
    )
    for column in ("figure", "value", "95 % interval", ""):
        table.add_column(column, justify="right" if column == "value" else "left")
    for figure in evaluation.figures:
        note = f"{figure.counts} {figure.interval}".strip()
        table.add_row(TITLES[figure.name], figure_text(figure), plain(interval_text(figure)), plain(note))
    terminal.print(table)
    terminal.print(_verdicts(document))
    for line in document.operating_point.words if document.operating_point else ():
        terminal.print(line, markup=False)
    if document.operating_point and document.operating_point.review_budget:
        terminal.print(budget_table(document.operating_point.review_budget))
    for name, points in document.stress.items():
        terminal.print(_stress(name, points))
    if document.unknown is not None:
        _print_unknown(document.unknown)


def _verdicts(document: EvaluationDocument) -> Table:
    rows = document.evaluation.classes
    table = Table(title="most probable class and verdict")
    table.add_column("class")
    for column in ("joints", *(f"as {name}" for name in rows[0].predicted), *rows[0].verdicts):
        table.add_column(plain(column), justify="right")
    for row in rows:
        counts = (row.joints, *row.predicted.values(), *row.verdicts.values())
        table.add_row(plain(row.name), *map(str, counts))
    return table


def _print_unknown(report: UnknownReport) -> None:
    terminal = console()
    for source, heading in SOURCES.items():
        rows = [row for row in report.rows if row.source == source]
        if rows:
            terminal.print(_unknown(heading, rows, report.guarded))
    for name, why in report.left_out.items():
        terminal.print(f"left out: {name}: {why}", markup=False)
    for note in report.notes:
        terminal.print(note, markup=False)


def _unknown(heading: str, rows: list[UnknownRow], guarded: bool) -> Table:
    table = Table(title=plain(f"like nothing learned: {heading}"))
    table.add_column("pictures")
    table.add_column("number", justify="right")
    for column in ("by score alone", *(["with guard"] if guarded else [])):
        table.add_column(f"PASS {column}", justify="right")
        table.add_column("95 % interval")
    table.add_column("decided instead")
    for row in rows:
        cells = [row.kind, str(row.joints)]
        for share in (row.score_alone, *([row.with_guard] if row.with_guard else [])):
            cells += [f"{share.share:.1%}", between_text(share)]
        table.add_row(*cells, plain(decided_text(row)))
        if row.kind == DEFECTS:
            table.add_section()
    return table


def _stress(name: str, points: tuple[StressPoint, ...]) -> Table:
    table = Table(title=plain(f"stress: {name}, fixed limits"))
    for column in ("disturbance", "strength", "F1", "escapes", "false calls", "reviews", "map r", "map IoU"):
        table.add_column(column, justify="left" if column == "disturbance" else "right")
    last = points[0].kind
    for point in points:
        if point.kind != last:
            table.add_section()
        last = point.kind
        table.add_row(
            point.kind,
            "" if point.kind == CLEAN else f"{point.strength:g} {point.unit}",
            _number(point.f1),
            str(point.escapes),
            str(point.false_calls),
            str(point.reviews),
            _number(point.map_pearson),
            _number(point.map_iou),
        )
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
