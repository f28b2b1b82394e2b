"""What ``infer`` prints: the engine, each board, and the closing tables."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from sji_edge.cli.render.common import console
from sji_edge.core.protocols import BoardRecord
from sji_edge.core.text import amount
from sji_edge.core.verdict import VERDICTS
from sji_edge.inspection.observe.shadow import ShadowReport
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.runtime.bundle.bundle import Bundle

SHOWN_FAILS = 10
COLOURS = {"PASS": "green", "REVIEW": "yellow", "FAIL": "red", "ERROR": "magenta"}


def engine_line(bundle: Bundle, why: str) -> str:
    """Say which engine judges, and why it was taken."""
    manifest = bundle.manifest
    limits = bundle.thresholds
    return escape(
        f"engine {manifest.name} ({manifest.backend} {manifest.precision}), {why}; "
        f"PASS below {limits.lower:.3f}, FAIL from {limits.upper:.3f}"
    )


def board_line(record: BoardRecord) -> str:
    """One line for a board, plain text."""
    counts = Counter(joint.verdict for joint in record.joints)
    listed = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    residual = record.alignment_residual_px
    aligned = "" if residual is None else f"  residual {residual:.2f} px"
    return f"{record.verdict:<6} {record.frame_name}  {record.cause or listed}{aligned}"


def print_summary(
    summary: RunSummary, bundle: Bundle, records: Sequence[Path], shadow: ShadowReport | None
) -> None:
    """Print the closing tables of a run, however it ended."""
    terminal = console()
    terminal.print(verdict_table(summary))
    for line in cause_lines(summary):
        terminal.print(line)
    _print_fails(summary)
    if summary.latency:
        terminal.print(latency_table(summary))
    if shadow is not None:
        terminal.print(shadow_line(shadow))
    manifest = bundle.manifest
    terminal.print(
        f"{summary.joints_per_s:.0f} joints/s over {summary.wall_s:.2f} s, reading included; "
        f"engine {manifest.name} ({manifest.backend} {manifest.precision})"
    )
    terminal.print(f"records: {' and '.join(str(path) for path in records)}")


def verdict_table(summary: RunSummary) -> Table:
    """Boards and joints on record, by verdict."""
    verdicts = Table(title=f"{amount(summary.captured, 'frame')}, {summary.judged} judged")
    for column in ("", *VERDICTS):
        verdicts.add_column(column, justify="right" if column else "left", style=COLOURS.get(column))
    verdicts.add_row("boards", *(str(summary.boards[verdict]) for verdict in VERDICTS))
    verdicts.add_row("joints", *(str(summary.joints[verdict]) for verdict in VERDICTS))
    return verdicts


def cause_lines(summary: RunSummary) -> list[str]:
    """Say by cause which boards are ERROR on record, and which frames are not; with markup."""
    lines = []
    for cause, count in summary.errors.items():
        unrecorded = summary.unrecorded.get(cause, 0)
        if count > unrecorded:
            lines.append(f"[magenta]ERROR[/] {cause}: {amount(count - unrecorded, 'board')}")
        if unrecorded:
            lines.append(f"[yellow]not judged[/], {cause}: {amount(unrecorded, 'frame')}, not on record")
    return lines


def latency_table(summary: RunSummary) -> Table:
    """Mean and percentiles of each stage, of the waits between them, and from the capture on.

    Means add up where every board went through all stages.
    """
    table = Table(title="Latency a board, ms")
    for column in ("stage", "mean", "p50", "p90", "p99", "p99.9", "max"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, log in summary.latency.items():
        values = (log.mean_ms, log.p50_ms, log.p90_ms, log.p99_ms, log.p999_ms, log.max_ms)
        table.add_row(stage, *(f"{value:.2f}" for value in values))
    return table


def shadow_line(shadow: ShadowReport) -> str:
    """Say how the engine and its reference agree on the crops that both judged."""
    if not shadow.replayed and not shadow.failure:
        return f"shadow: no crop replayed, {shadow.skipped} skipped"
    failure = f"; [magenta]ended early: {escape(shadow.failure)}[/]" if shadow.failure else ""
    return (
        f"shadow: {amount(shadow.replayed, 'crop')} replayed, {shadow.skipped} skipped; "
        f"{amount(shadow.flips, 'verdict')} {'differs' if shadow.flips == 1 else 'differ'}, "
        f"{shadow.escape_flips} of them PASS here; scores off by {shadow.mean_score_error:.4f}, "
        f"at most {shadow.max_score_error:.4f}{failure}"
    )


def _print_fails(summary: RunSummary) -> None:
    if not summary.first_fails:
        return
    table = Table(title="First joints that failed")
    for column in ("frame", "joint", "score", "looks like"):
        table.add_column(column, justify="right" if column == "score" else "left")
    for fail in summary.first_fails[:SHOWN_FAILS]:
        table.add_row(fail.frame_name, fail.joint.refdes, f"{fail.joint.score:.3f}", fail.joint.label)
    console().print(table)
