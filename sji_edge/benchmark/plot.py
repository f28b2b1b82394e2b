"""Draws the report: latency and throughput over the batch size."""

from pathlib import Path
from typing import Any

from sji_edge.benchmark.names import short_names
from sji_edge.benchmark.report import BenchReport, BenchRow
from sji_edge.core.errors import OutputError
from sji_edge.core.extras import load
from sji_edge.core.text import one_line

SIZE_INCHES = (11.0, 5.0)
DPI = 130
COLOURS = ("#2a7f62", "#b3352b", "#2f5d9b", "#c98a1b", "#6b4a8c", "#444444")
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")


def save_plot(report: BenchReport, path: Path) -> None:
    """Draw a report: on the left the median latency with p99 above it, on the right joints per second.

    Each subject has its own colour and each thread count its own line style.

    Args:
        report: what was measured.
        path: the picture; its suffix chooses the format (png, svg, pdf).

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: the picture cannot be written.
    """
    figure = load("matplotlib.figure", purpose="drawing the report").Figure(
        figsize=SIZE_INCHES, dpi=DPI, layout="constrained"
    )
    left, right = figure.subplots(1, 2)
    names, shared = short_names([subject.name for subject in report.subjects])
    threads = sorted({row.threads for row in report.rows})
    for key in dict.fromkeys((row.subject, row.threads) for row in report.rows):
        place = list(names).index(key[0]), threads.index(key[1])
        label = f"{names[key[0]]}, {_threads(key[1])}"
        _draw(left, right, sorted(_of(report, key), key=lambda row: row.batch), label, place)
    left.set(yscale="log", title="latency per batch, ms: median, bar up to p99")
    right.set(ylim=(0, None), title="joints/s")
    batches = sorted({row.batch for row in report.rows})
    for axes in (left, right):
        axes.set(xscale="log", xlabel="batch")
        axes.set_xticks(batches, [str(batch) for batch in batches], minor=False)
        axes.set_xticks([], minor=True)
        axes.grid(visible=True, alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), fontsize="small")
    environment = report.environment
    figure.suptitle(
        f"{shared}{' on ' if shared else ''}{environment.get('cpu', '')}, {environment.get('cores', '?')} cores"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {path}: {one_line(error)}") from error


def _threads(count: int) -> str:
    return f"{count or 'all'} thread{'s' * (count != 1)}"


def _of(report: BenchReport, key: tuple[str, int]) -> list[BenchRow]:
    return [row for row in report.rows if (row.subject, row.threads) == key]


def _draw(left: Any, right: Any, rows: list[BenchRow], label: str, place: tuple[int, int]) -> None:
    subject, count = place
    style = {
        "color": COLOURS[subject % len(COLOURS)],
        "linestyle": LINES[count % len(LINES)],
        "marker": MARKERS[count % len(MARKERS)],
        "label": label,
    }
    # Side by side, so that the bars of one batch do not cover each other.
    batches = [row.batch * (1 + 0.03 * subject + 0.015 * count) for row in rows]
    above = [row.p99_ms - row.p50_ms for row in rows]
    left.errorbar(batches, [row.p50_ms for row in rows], yerr=[[0.0] * len(rows), above], capsize=3, **style)
    right.plot([row.batch for row in rows], [row.joints_per_s for row in rows], **style)
