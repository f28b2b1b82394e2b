"""What ``infer`` prints: the engine, each board, and the closing tables."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sji_edge.core.joint_table import count_verdicts
from sji_edge.core.left_out import in_one_line
from sji_edge.core.protocols import BoardRecord
from sji_edge.core.text import amount, listing, readable
from sji_edge.core.verdict import VERDICTS, Verdict
from sji_edge.inspection.judging.places import Places
from sji_edge.inspection.observe.rival import RivalReport
from sji_edge.inspection.observe.shadow import ShadowReport
from sji_edge.inspection.observe.tally import RunSummary
from sji_edge.recipe.board import Recipe
from sji_edge.workflows.inspect.request import EngineFacts, RunResult

if TYPE_CHECKING:
    from sji_edge.inspection.outputs.pool.keeper import KeepCounts

SHOWN_FAILS = 10
COLOURS = {"PASS": "green", "REVIEW": "yellow", "FAIL": "red", "ERROR": "magenta"}


def engine_lines(engine: EngineFacts) -> list[str]:
    """Say which engine judges, why it was chosen, and what differs from where it was validated; plain text."""
    limits = engine.thresholds
    first = f"engine {engine_name(engine)}, {engine.why}; PASS below {limits.lower:.3f}, FAIL from {limits.upper:.3f}"
    guard = (
        "  this engine has no guard: a joint unlike the training data is judged by its score alone"
        if limits.novelty is None
        else f"  guard: REVIEW instead of PASS from a novelty of {limits.novelty:.3f}"
    )
    changes = [f"  environment differs from where this engine was validated: {one}" for one in engine.changes]
    return [readable(line) for line in (first, guard, *changes)]


def places_line(recipe: Recipe, places: Places | None) -> str:
    """Say whether joints are compared with enrolled boards, and what is not noticed otherwise."""
    if places is not None:
        return f"recipe {recipe.folder.name}: each joint is compared with its place on {places.boards} enrolled boards"
    if recipe.enrolled is not None:
        return (
            f"recipe {recipe.folder.name}: its enrolled boards are not used, because this engine has no guard"
        )
    return (
        f"recipe {recipe.folder.name}: no boards are enrolled, so a turned board or an exchanged part may pass; "
        "see sji-edge recipe enrol"
    )


def engine_name(engine: EngineFacts) -> str:
    """Return the engine's name, backend and precision."""
    return f"{engine.name} ({engine.backend} {engine.precision})"


def board_line(record: BoardRecord) -> str:
    """Return one line for a board, plain text; names cannot break it."""
    counts = count_verdicts(record.joints)
    listed = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    residual = record.alignment_residual_px
    aligned = "" if residual is None else f"  residual {residual:.2f} px"
    serial = f"  {record.serial}" if record.serial else ""
    units = [
        f"{unit.name} {unit.verdict or 'skipped'}" for unit in record.units if unit.verdict != Verdict.PASS
    ]
    listed += f"; {listing(units)}" if units else ""
    again = f" (seen before, {amount(record.retest, 'time')})" if record.retest else ""
    return readable(
        f"{record.verdict:<6} {record.frame_name}{serial}{again}  {record.cause or listed}{aligned}"
    )


def print_result(terminal: Console, result: RunResult) -> None:
    """Print the closing tables of a run, however it ended."""
    summary = result.summary
    terminal.print(verdict_table(summary))
    for line in cause_lines(summary):
        terminal.print(line)
    if summary.left_out:
        terminal.print(in_one_line(summary.left_out), markup=False)
    _print_fails(terminal, summary)
    if summary.latency:
        terminal.print(latency_table(summary))
    if result.shadow is not None:
        terminal.print(shadow_line(result.shadow))
    if result.rival is not None:
        terminal.print(readable(rival_line(result.rival)), markup=False)
    if result.kept is not None:
        terminal.print(pool_line(result.kept), markup=False)
    closing = (
        f"{summary.joints_per_s:.0f} joints/s over {summary.wall_s:.2f} s, including the time to read frames; "
        f"engine {engine_name(result.engine)}",
        f"records: {result.paths.database} and {result.paths.lines}",
    )
    for line in closing:
        terminal.print(readable(line), markup=False)


def pool_line(kept: "KeepCounts") -> str:
    """Say what a run added to its pool."""
    beyond = f"; {amount(kept.over_quota, 'joint')} not kept: the pool is full" if kept.over_quota else ""
    dropped = f", {amount(kept.duplicates, 'near duplicate')} dropped" if kept.duplicates else ""
    return f"pool: {amount(kept.kept.total(), 'joint')} added{dropped}{beyond}"


def rival_line(rival: RivalReport) -> str:
    """Say how often a second engine calls what the deployed one passes, and the other way round."""
    skipped = f", {amount(rival.skipped, 'board')} skipped" if rival.skipped else ""
    failure = f"; it stopped early: {rival.failure}" if rival.failure else ""
    return (
        f"shadow engine {rival.name}: {amount(rival.boards, 'board')} judged by both{skipped}; of "
        f"{amount(rival.joints, 'joint')}, it alone calls {rival.only_rival}, the deployed engine alone calls "
        f"{rival.only_deployed}; {rival.other} differ otherwise{failure}"
    )


def interrupted_line(summary: RunSummary) -> str:
    """Say what an interrupted run leaves: boards on record, and captured frames that are not."""
    recorded = f"interrupted: {amount(sum(summary.boards.values()), 'board')} on record"
    missing = sum(summary.unrecorded.values())
    if not missing:
        return f"{recorded}; no captured frame is missing"
    causes = ", ".join(f"{count} {cause}" for cause, count in summary.unrecorded.items() if count)
    return f"{recorded}; {amount(missing, 'frame')} not judged and not on record ({causes})"


def verdict_table(summary: RunSummary) -> Table:
    """Return the table of boards and joints on record, by verdict."""
    verdicts = Table(title=f"{amount(summary.captured, 'frame')}, {summary.judged} judged")
    for column in ("", *VERDICTS):
        verdicts.add_column(column, justify="right" if column else "left", style=COLOURS.get(column))
    verdicts.add_row("boards", *(str(summary.boards[verdict]) for verdict in VERDICTS))
    verdicts.add_row("joints", *(str(summary.joints[verdict]) for verdict in VERDICTS))
    return verdicts


def cause_lines(summary: RunSummary) -> list[str]:
    """Count what the guard stopped, the ERROR boards on record and the frames without a record; with markup."""
    lines = []
    if summary.unlike_training:
        lines.append(
            f"[yellow]REVIEW[/] unlike-training: {amount(summary.unlike_training, 'joint')} whose score alone says PASS"
        )
    if summary.unlike_golden:
        lines.append(
            f"[yellow]REVIEW[/] unlike-golden: {amount(summary.unlike_golden, 'joint')} whose score alone says PASS"
        )
    if summary.no_serial:
        lines.append(
            f"[yellow]no serial number[/]: {amount(summary.no_serial, 'board')} on record without one"
        )
    if summary.retests:
        lines.append(f"seen before: {amount(summary.retests, 'board')}, by the serial number")
    for cause, count in summary.errors.items():
        unrecorded = summary.unrecorded.get(cause, 0)
        if count > unrecorded:
            lines.append(f"[magenta]ERROR[/] {cause}: {amount(count - unrecorded, 'board')}")
        if unrecorded:
            lines.append(f"[yellow]not judged[/], {cause}: {amount(unrecorded, 'frame')}, not on record")
    return lines


def latency_table(summary: RunSummary) -> Table:
    """Return mean and percentiles of each stage, of the waits between stages, and from the capture on.

    The means add up if every board went through all stages.
    """
    table = Table(title="Latency per board, ms")
    for column in ("stage", "mean", "p50", "p90", "p99", "p99.9", "max"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, log in summary.latency.items():
        values = (log.mean_ms, log.p50_ms, log.p90_ms, log.p99_ms, log.p999_ms, log.max_ms)
        table.add_row(stage, *(f"{value:.2f}" for value in values))
    return table


def shadow_line(shadow: ShadowReport) -> str:
    """Say how far the engine and its reference agree on the crops that both judged; with markup."""
    failure = f"; [magenta]ended early: {escape(readable(shadow.failure))}[/]" if shadow.failure else ""
    if not shadow.replayed:
        return f"shadow: no crop replayed, {shadow.skipped} skipped{failure}"
    return (
        f"shadow: {amount(shadow.replayed, 'crop')} replayed, {shadow.skipped} skipped; "
        f"{amount(shadow.flips, 'verdict')} {'differs' if shadow.flips == 1 else 'differ'} from the reference, "
        f"{shadow.escape_flips} of them PASS here{_silent(shadow)}; "
        f"score error {shadow.mean_score_error:.4f} on average, "
        f"{shadow.max_score_error:.4f} at most{failure}"
    )


def _silent(shadow: ShadowReport) -> str:
    return (
        f" ({shadow.silent_guard_flips} because the guard fell silent)" if shadow.silent_guard_flips else ""
    )


def _print_fails(terminal: Console, summary: RunSummary) -> None:
    if not summary.first_fails:
        return
    table = Table(title="First joints that failed")
    for column in ("frame", "joint", "score", "looks like"):
        table.add_column(column, justify="right" if column == "score" else "left")
    for fail in summary.first_fails[:SHOWN_FAILS]:
        names = (fail.frame_name, fail.joint.refdes, f"{fail.joint.score:.3f}", fail.joint.label)
        table.add_row(*(escape(readable(name)) for name in names))
    terminal.print(table)
