"""The parity tables, for ``parity`` and ``build-engine``."""

from rich.table import Table

from sji_edge.cli.show import console
from sji_edge.parity.comparison import Comparison, Difference
from sji_edge.parity.run import ParityReport

TITLES = {
    "pytorch-reference": "PyTorch → ONNX",
    "pytorch-engine": "PyTorch → engine",
    "reference-engine": "ONNX → engine",
}


def print_parity(report: ParityReport, what: str) -> None:
    """Print a report: one column a pair, then the judged pair class by class, then the gate's answer.

    Args:
        report: the comparisons and the gate's answer.
        what: the engine and the crops, for the title.
    """
    console().print(_figures(report, what))
    console().print(_by_class(report.comparison, TITLES[report.gated]))
    verdict = "[green]passed[/green]" if report else "[red]failed[/red]"
    console().print(f"gate ({TITLES[report.gated]}): {verdict}")
    for failure in report.result.failures:
        console().print(f"  - {failure}", markup=False)


def _figures(report: ParityReport, what: str) -> Table:
    pairs = report.comparisons
    table = Table(title=f"parity of {what}: {report.comparison.joints} joints")
    table.add_column("")
    for name in pairs:
        table.add_column(TITLES[name] + (" (gated)" if name == report.gated else ""), justify="right")
    rows = {
        "|Δlogit| max / mean / p99": [_difference(pair.logits) for pair in pairs.values()],
        "|Δp| max / mean / p99": [_difference(pair.probabilities) for pair in pairs.values()],
        "|Δscore| max / mean / p99": [_difference(pair.scores) for pair in pairs.values()],
        "top-1 agreement": [f"{pair.top1_agreement:.2%}" for pair in pairs.values()],
        "verdict agreement": [f"{pair.agreement:.2%}" for pair in pairs.values()],
        "verdict flips": [str(pair.flips) for pair in pairs.values()],
        "… to PASS (escape direction)": [_escapes(pair) for pair in pairs.values()],
        "… to FAIL (false-call direction)": [str(pair.false_call_flips) for pair in pairs.values()],
        "F1 (defect)": [_change(pair, "f1", 4) for pair in pairs.values()],
        "escapes": [_change(pair, "escapes") for pair in pairs.values()],
        "false calls": [_change(pair, "false_calls") for pair in pairs.values()],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _by_class(comparison: Comparison, title: str) -> Table:
    table = Table(title=f"{title}, by class")
    for column in ("class", "joints", "max |Δscore|", "flips", "to PASS", "to FAIL"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for row in comparison.classes:
        gap = "–" if row.max_score_error is None else f"{row.max_score_error:.2e}"
        counts = (row.flips, row.escape_flips, row.false_call_flips)
        table.add_row(row.name, str(row.joints), gap, *map(str, counts))
    return table


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    return f"{difference.max:.1e} / {difference.mean:.1e} / {difference.p99:.1e}"


def _escapes(pair: Comparison) -> str:
    return f"{pair.escape_flips} of {pair.escape_flips_of} (≤ {pair.escape_flip_upper:.1%} at 95 %)"


def _change(pair: Comparison, figure: str, decimals: int = 0) -> str:
    cells = []
    for rates in (pair.reference_rates, pair.candidate_rates):
        value = None if rates is None else rates[figure]
        cells.append("–" if value is None else f"{value:.{decimals}f}")
    return " → ".join(cells)
