"""What ``sji-edge bench`` prints."""

from rich.markup import escape
from rich.table import Table

from sji_edge.benchmark.names import short_names
from sji_edge.benchmark.report import BenchReport, BenchRow
from sji_edge.cli.render.console import console

TIMES = ("p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms")
HEADINGS = ("p50", "p90", "p99", "p99.9", "max")


def print_bench(report: BenchReport, warning: str) -> None:
    """Print a report: the subjects, then one row for each point, then what was left out.

    Args:
        report: what was measured.
        warning: what disturbed the figures, or an empty string.
    """
    terminal = console()
    names, shared = short_names([subject.name for subject in report.subjects])
    terminal.print(_subjects(report))
    terminal.print(
        _points(report, names, f"latency per batch, ms{f' ({escape(shared)}-…)' if shared else ''}")
    )
    terminal.print(
        f"{report.environment['cpu']}, {report.environment['cores']} cores; every call is counted, "
        f"alternating blocks of {report.settings.block_s:g} s, {report.settings.settle_s * 1e3:g} ms apart",
        markup=False,
    )
    for line in report.skipped:
        terminal.print(f"not measured: {line}", markup=False)
    if warning:
        terminal.print(f"[yellow]warning: {escape(warning)}[/yellow]")


def _subjects(report: BenchReport) -> Table:
    table = Table(title="what was measured")
    unreleased = any(not subject.released for subject in report.subjects)
    for column in ("name", "backend", "precision", "file MB", "peak MB", *([""] if unreleased else [])):
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
            *([note] if unreleased else []),
        )
    return table


def _points(report: BenchReport, names: dict[str, str], title: str) -> Table:
    table = Table(title=title)
    table.add_column("threads", justify="right")
    table.add_column("batch", justify="right")
    table.add_column("name")
    for heading in (*HEADINGS, "calls", "joints/s"):
        table.add_column(heading, justify="right")
    if report.baseline:
        table.add_column(escape(f"speed vs {names[report.baseline]} (rounds)"), justify="right")
    last: tuple[int, int] | None = None
    for row in report.rows:
        point = (row.threads, row.batch)
        if last not in (None, point):
            table.add_section()
        cells = ["", ""] if last == point else [str(row.threads or "all"), str(row.batch)]
        last = point
        cells += [escape(names[row.subject]), *(_milliseconds(getattr(row, name)) for name in TIMES)]
        cells += [str(row.calls), f"{row.joints_per_s:.0f}"]
        table.add_row(*cells, *([_ratio(row)] if report.baseline else []))
    return table


def _milliseconds(value: float) -> str:
    """Format with three significant digits, or more before the point."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"


def _ratio(row: BenchRow) -> str:
    if row.ratio is None:
        return "–"
    return f"{row.ratio:.2f} ({row.ratio_low:.2f}–{row.ratio_high:.2f})"
