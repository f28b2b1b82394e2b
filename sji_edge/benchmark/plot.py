"""The report as a picture: latency and throughput over the batch size."""

from pathlib import Path
from typing import Any

from sji_edge.benchmark.report import BenchReport, BenchRow
from sji_edge.core.errors import OutputError
from sji_edge.core.extras import load

SIZE_INCHES = (11.0, 4.5)
DPI = 130


def save_plot(report: BenchReport, path: Path) -> None:
    """Draw a report: on the left the median latency with p99 above it, on the right joints a second.

    Args:
        report: what was measured.
        path: the picture; its suffix chooses the format (png, svg, pdf).

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: the picture cannot be written.
    """
    figure = load("matplotlib.figure", purpose="--plot").Figure(
        figsize=SIZE_INCHES, dpi=DPI, layout="constrained"
    )
    left, right = figure.subplots(1, 2)
    for key in dict.fromkeys((row.subject, row.threads) for row in report.rows):
        _draw(left, right, sorted(_of(report, key), key=lambda row: row.batch), key)
    for axes, title in ((left, "latency, ms: median, p99 as the bar's end"), (right, "joints/s")):
        axes.set(xscale="log", yscale="log", xlabel="batch", title=title)
        batches = sorted({row.batch for row in report.rows})
        axes.set_xticks(batches, [str(batch) for batch in batches], minor=False)
        axes.set_xticks([], minor=True)
        axes.grid(visible=True, alpha=0.3)
    right.legend(fontsize="small")
    figure.suptitle(report.environment.get("cpu", ""))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {path}: {' '.join(str(error).split())[:200]}") from error


def _of(report: BenchReport, key: tuple[str, int]) -> list[BenchRow]:
    return [row for row in report.rows if (row.subject, row.threads) == key]


def _draw(left: Any, right: Any, rows: list[BenchRow], key: tuple[str, int]) -> None:
    batches = [row.batch for row in rows]
    medians = [row.p50_ms for row in rows]
    above = [row.p99_ms - row.p50_ms for row in rows]
    label = f"{key[0]}, {key[1]} thread{'s' * (key[1] != 1)}"
    left.errorbar(batches, medians, yerr=[[0.0] * len(rows), above], marker="o", capsize=3, label=label)
    right.plot(batches, [row.joints_per_s for row in rows], marker="o", label=label)
