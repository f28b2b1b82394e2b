"""What ``dataset build`` and ``dataset diff`` print."""

import json
from collections import Counter
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table

from sji_edge.cli.render.console import console
from sji_edge.core.text import amount, listing, readable
from sji_edge.data.built import DatasetRow
from sji_edge.workflows.dataset.build import BuiltDataset
from sji_edge.workflows.dataset.diff import DatasetDiff

SHOWN = 10


def print_built(terminal: Console, made: BuiltDataset) -> None:
    """Print the joints by split and class, and every joint that is left out."""
    card = made.card
    table = Table(title=f"{made.folder}, version {card.version[:12]}")
    for column in ("split", *card.classes):
        table.add_column(readable(column), justify="left" if column == "split" else "right")
    for split, counts in card.joints.items():
        table.add_row(split, *(str(counts.get(name, 0)) for name in card.classes))
    terminal.print(table)
    for why, count in Counter(one.why for one in card.left_out).items():
        defects = sum(one.defect for one in card.left_out if one.why == why)
        of_them = f", {defects} of them called a defect" if defects else ""
        terminal.print(f"left out, {why}: {amount(count, 'joint')}{of_them}", markup=False)
        for one in [each for each in card.left_out if each.why == why][:SHOWN]:
            terminal.print(readable(f"  {one.joint}: {listing(one.said)}"), markup=False)
        if count > SHOWN:
            terminal.print(f"  and {count - SHOWN} more; dataset.json lists all", markup=False)
    terminal.print(f"next: sji-edge train {made.folder}", markup=False)


def print_diff(found: DatasetDiff, as_json: bool) -> None:
    """Print what differs, as lines or as JSON."""
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2))
        return
    terminal = console()
    if not found:
        terminal.print(f"the same dataset, version {found.versions[0][:12]}", markup=False)
        return
    terminal.print(f"{found.versions[0][:12]} → {found.versions[1][:12]}", markup=False)
    for line in found.settings:
        terminal.print(readable(line), markup=False)
    for title, rows in (("added", found.added), ("removed", found.removed)):
        counts = Counter((row.split, row.label) for row in rows)
        for (split, label), count in sorted(counts.items()):
            terminal.print(readable(f"{title}: {amount(count, 'joint')} of {split}/{label}"), markup=False)
    for title, changes, name in (("relabelled", found.relabelled, "state"), ("moved", found.moved, "split")):
        for change in changes[:SHOWN]:
            steps = f"{getattr(change.before, name)} → {getattr(change.after, name)}"
            terminal.print(readable(f"{title}: {_place(change.after)}: {steps}"), markup=False)
        if len(changes) > SHOWN:
            terminal.print(f"{title}: and {len(changes) - SHOWN} more", markup=False)


def _place(row: DatasetRow) -> str:
    return f"{row.board} {row.unit} {row.refdes}"


def _as_json(found: DatasetDiff) -> dict[str, object]:
    def rows(several: Sequence[DatasetRow]) -> list[dict[str, object]]:
        return [row.model_dump() for row in several]

    return {
        "versions": list(found.versions),
        "settings": list(found.settings),
        "added": rows(found.added),
        "removed": rows(found.removed),
        **{
            name: [{"before": one.before.model_dump(), "after": one.after.model_dump()} for one in changes]
            for name, changes in (("relabelled", found.relabelled), ("moved", found.moved))
        },
    }
