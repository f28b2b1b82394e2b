"""The tables of ``sji-edge bench``."""

from rich.markup import escape
from rich.table import Table

from sji_edge.benchmark.report import BenchReport, BenchRow
from sji_edge.cli.show import console

TIMES = ("p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms")
HEADINGS = ("p50", "p90", "p99", "p99.9", "max")


def print_bench(report: BenchReport, warning: str) -> None:
    """Print a report: the subjects, then one row a point, then what was left out.

    Args:
        report: what was measured.
        warning: what disturbs the figures, or an empty text.
    """
    terminal = console()
    terminal.print(_subjects(report))
    terminal.print(_points(report))
    terminal.print(
        f"{report.environment['cpu']}, {report.environment['cores']} cores; all calls counted, "
        f"blocks of {report.settings.block_s:g} s alternating, {report.settings.settle_s * 1e3:g} ms between",
        markup=False,
    )
    for line in report.skipped:
        terminal.print(f"not measured: {line}", markup=False)
    if warning:
        terminal.print(f"[yellow]warning: {escape(warning)}[/yellow]")


def _subjects(report: BenchReport) -> Table:
    table = Table(title="what was measured")
    for column in ("name", "backend", "precision", "file MB", "peak memory MB", ""):
        table.add_column(column, justify="right" if "MB" in column else "left")
    for subject in report.subjects:
        peak = "–" if subject.peak_rss_bytes is None else f"{subject.peak_rss_bytes / 1e6:.0f}"
        note = "" if subject.released else "[red]not released[/red]"
        table.add_row(
            escape(subject.name),
            subject.backend,
            subject.precision,
            f"{subject.file_bytes / 1e6:.2f}",
            peak,
            note,
        )
    return table


def _points(report: BenchReport) -> Table:
    table = Table(title="latency a batch, ms")
    table.add_column("threads", justify="right")
    table.add_column("batch", justify="right")
    table.add_column("name")
    for heading in (*HEADINGS, "calls", "joints/s"):
        table.add_column(heading, justify="right")
    if report.baseline:
        table.add_column(escape(f"times {report.baseline} (by round)"), justify="right")
    last: tuple[int, int] | None = None
    for row in report.rows:
        point = (row.threads, row.batch)
        if last not in (None, point):
            table.add_section()
        last = point
        cells = [str(row.threads), str(row.batch), escape(row.subject)]
        cells += [f"{getattr(row, name):.2f}" for name in TIMES]
        cells += [str(row.calls), f"{row.joints_per_s:.0f}"]
        table.add_row(*cells, *([_ratio(row)] if report.baseline else []))
    return table


def _ratio(row: BenchRow) -> str:
    if row.ratio is None:
        return "–"
    return f"{row.ratio:.2f} ({row.ratio_low:.2f}–{row.ratio_high:.2f})"
