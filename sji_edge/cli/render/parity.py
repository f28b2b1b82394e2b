"""The parity tables, for ``parity``, ``engine verify`` and ``build-engine``."""

from rich.table import Table

from sji_edge.cli.render.bisect import print_bisection
from sji_edge.cli.render.console import console, plain
from sji_edge.core.left_out import in_one_line
from sji_edge.parity.comparison import Comparison, Difference
from sji_edge.parity.json_report import Predictor, Proof
from sji_edge.parity.pair import PAIR
from sji_edge.parity.run import ParityReport

TITLES = {
    "pytorch-reference": "PyTorch → ONNX",
    "pytorch-engine": "PyTorch → engine",
    "reference-engine": "ONNX → engine",
    "pytorch-graph": "PyTorch → its graph",
    "reference-graph": "ONNX → its graph",
}


def print_proof(proof: Proof) -> None:
    """Print everything that was found about one candidate on one set of crops."""
    what = f"{proof.candidate.name} on {proof.crops}"
    if proof.left_out:
        console().print(in_one_line(proof.left_out), markup=False)
    print_parity(proof.report, what, f"{_side(proof.reference, proof)} → {_side(proof.candidate, proof)}")
    if proof.picture is not None:
        console().print(f"worst crops: {proof.picture}", markup=False)
    if proof.bisection is not None:
        print_bisection(proof.bisection, what)


def print_parity(
    report: ParityReport, what: str, pair: str = "reference → candidate", pending: str = ""
) -> None:
    """Print a report: one column for each comparison, then the judged one by class, then the gate's answer.

    Args:
        report: the comparisons and the gate's answer.
        what: the engine and the crops, for the title.
        pair: the two sides, where they are not in ``TITLES``.
        pending: why the engine could not run here; given only if its graph passed.
    """
    titles = TITLES | {PAIR: pair}
    judged = titles[report.gated]
    console().print(_figures(report, what, titles))
    console().print(_by_class(report.comparison, judged))
    verdict = "[green]passed[/green]" if report else "[red]failed[/red]"
    if pending:
        verdict = "[yellow]passed; waiting for its device[/yellow]"
    console().print(f"gate ({plain(judged)}): {verdict}")
    for failure in report.result.failures:
        console().print(f"  - {failure}", markup=False)


def _side(side: Predictor, proof: Proof) -> str:
    """Return the kind of a side where the two kinds differ, else its name."""
    return side.kind if proof.reference.kind != proof.candidate.kind else side.name


def _figures(report: ParityReport, what: str, titles: dict[str, str]) -> Table:
    pairs = report.comparisons
    table = Table(title=plain(f"parity of {what}: {report.comparison.joints} joints"))
    table.add_column("")
    for name in pairs:
        table.add_column(plain(titles[name]), justify="right")
    sections: tuple[dict[str, list[str]], ...] = (
        _differences("|Δlogit|", [pair.logits for pair in pairs.values()]),
        _differences("|Δp|", [pair.probabilities for pair in pairs.values()]),
        _differences("|Δscore|", [pair.scores for pair in pairs.values()]),
        _differences("|Δnovelty|", [pair.novelty for pair in pairs.values()])
        if any(pair.novelty for pair in pairs.values())
        else {},
        {
            "top-1 agreement": [f"{pair.top1_agreement:.2%}" for pair in pairs.values()],
            "verdict agreement": [f"{pair.agreement:.2%}" for pair in pairs.values()],
            "verdict flips": [str(pair.flips) for pair in pairs.values()],
            "  to PASS (escapes)": [
                f"{pair.escape_flips} of {pair.escape_flips_of}" for pair in pairs.values()
            ],
            **_guard_rows(list(pairs.values())),
            "  upper limit, 95 %": [f"{pair.escape_flip_upper:.1%}" for pair in pairs.values()],
            "  to FAIL": [str(pair.false_call_flips) for pair in pairs.values()],
        },
        {
            "F1 (defect)": [_change(pair, "f1", 4) for pair in pairs.values()],
            "escapes": [_change(pair, "escapes") for pair in pairs.values()],
            "false calls": [_change(pair, "false_calls") for pair in pairs.values()],
        },
    )
    for section in filter(None, sections):
        for name, cells in section.items():
            table.add_row(name, *cells)
        table.add_section()
    return table


def _differences(name: str, found: list[Difference | None]) -> dict[str, list[str]]:
    return {
        f"{name} {part}": ["–" if one is None else f"{getattr(one, part):.1e}" for one in found]
        for part in ("max", "mean", "p99")
    }


def _guard_rows(pairs: list[Comparison]) -> dict[str, list[str]]:
    """Return how many crops the guard stopped on both sides, and how often it fell silent; nothing without a guard."""
    if all(pair.thresholds.novelty is None for pair in pairs):
        return {}
    return {
        "    guard fell silent": [str(pair.silent_guard_flips) for pair in pairs],
        "stopped by the guard": [f"{pair.reference_stopped} → {pair.candidate_stopped}" for pair in pairs],
    }


def _by_class(comparison: Comparison, title: str) -> Table:
    table = Table(title=plain(f"{title}, by class"))
    for column in ("class", "joints", "max |Δscore|", "flips", "to PASS", "to FAIL"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for row in comparison.classes:
        gap = "–" if row.max_score_error is None else f"{row.max_score_error:.2e}"
        counts = (row.flips, row.escape_flips, row.false_call_flips)
        table.add_row(plain(row.name), str(row.joints), gap, *map(str, counts))
    return table


def _change(pair: Comparison, figure: str, decimals: int = 0) -> str:
    cells = []
    for rates in (pair.reference_rates, pair.candidate_rates):
        value = None if rates is None else rates[figure]
        cells.append("–" if value is None else f"{value:.{decimals}f}")
    return " → ".join(cells)
