"""What ``collect`` prints: a line for each frame, and what was kept."""

from rich.console import Console
from rich.table import Table

from sji_edge.cli.render.inference import cause_lines
from sji_edge.core.left_out import in_one_line
from sji_edge.core.protocols import BoardRecord
from sji_edge.core.text import amount, listing, readable
from sji_edge.core.verdict import Verdict
from sji_edge.inspection.outputs.pool.keeper import KeepCounts
from sji_edge.workflows.collect.collect import Collected
from sji_edge.workflows.collect.judge_pool import JudgedPool

LEFT_OUT = {
    "there": "in the pool already",
    "duplicates": "near duplicates of the same place, dropped",
    "not_chosen": "not selected by --keep",
    "not_seen": "hidden, outside the frame, or of a frame that failed its checks",
    "over_quota": "beyond --quota-mb",
}


def frame_line(record: BoardRecord, counts: KeepCounts) -> str:
    """Return one line for a frame, plain text; names cannot break it."""
    unusable = all(joint.verdict is Verdict.ERROR for joint in record.joints)
    found = f"ERROR {record.cause}" if unusable else f"{counts.kept.total()} kept so far"
    return readable(f"{record.frame_name}  {found}")


def print_collected(terminal: Console, result: Collected) -> None:
    """Print what became of the frames and of their joints."""
    table = Table(title=f"Joints of {amount(result.summary.captured, 'frame')}")
    table.add_column("")
    table.add_column("joints", justify="right")
    for reason, count in sorted(result.counts.kept.items()):
        table.add_row(f"kept: {reason}", str(count))
    for name, words in LEFT_OUT.items():
        if count := getattr(result.counts, name):
            table.add_row(words, str(count))
    terminal.print(table)
    for line in cause_lines(result.summary):
        terminal.print(line)
    if result.summary.left_out:
        terminal.print(in_one_line(result.summary.left_out), markup=False)
    if result.full:
        terminal.print("the pool is full: the run ended at its quota", markup=False)
    terminal.print(readable(collected_line(result)), markup=False)
    terminal.print(readable(f"next: sji-edge review --pool {result.pool}"), markup=False)


def collected_line(result: Collected) -> str:
    """Say what the pool holds now."""
    kept = result.counts.kept.total()
    return f"{amount(kept, 'crop')} added; {result.pool} holds {result.crops:,} crops, {result.size / 1e6:.1f} MB"


def print_judged_pool(terminal: Console, found: JudgedPool) -> None:
    """Print how an engine judged the crops of a pool."""
    listed = ", ".join(f"{count} {verdict}" for verdict, count in found.verdicts.items() if count)
    already = f"; {found.before} it had judged before" if found.before else ""
    terminal.print(
        readable(f"{found.engine} judged {amount(found.judged, 'crop')}: {listed or 'none'}{already}"),
        markup=False,
    )
    if found.damaged:
        terminal.print(
            readable(f"not readable: {amount(len(found.damaged), 'picture')}, {listing(found.damaged)}"),
            markup=False,
        )
